#!/usr/bin/env bash
# kill -9 at random moments of a run of short jobs and a two-task training job.
#   kill_test.sh SOURCE_DIR BIN_DIR scheduler|agents [KILLS [JOBS [SEED]]]
# Passes if no acknowledged job is lost, none runs to completion twice, and the training job's process
# ids are the same after every kill.
set -euo pipefail
source=$1 bin=$2 victim=$3 kills=${4:-20} jobs=${5:-200} seed=${6:-$RANDOM}
RANDOM=$seed
allot=$bin/allot
work=$(mktemp -d)
submitter=
fail() { echo "FAILED (seed $seed): $*" >&2; exit 1; }
cleanup() {
  local code=$?
  [ -n "$submitter" ] && kill "$submitter" 2>/dev/null
  "$allot" local down --dir "$work/cluster" >/dev/null 2>&1 || true
  if [ $code -ne 0 ]; then tail -n 20 "$work"/cluster/logs/*.log "$work/restarted.log" 2>/dev/null || true; fi
  # What was killed last may still be writing.
  until rm -rf "$work" 2>/dev/null; do pause 0.1; done
}
trap cleanup EXIT
pause() { read -rt "$1" <>"$work/never" || true; }
mkfifo "$work/never"
until_true() {
  local end=$((SECONDS + 120))
  until "$@"; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    pause 0.1
  done
}

"$allot" local up --dir "$work/cluster" >/dev/null
field() { sed -n "s/^$2: *[\"']\?\([^\"']*\)[\"']\?$/\1/p" "$1/addresses.yaml"; }
export ALLOT_SERVER=http://$(field "$work/cluster/scheduler" http)
mapfile -t agents < <(for folder in "$work"/cluster/nodes/*/addresses.yaml; do dirname "$folder"; done)
[ ${#agents[@]} -eq 3 ] || fail "expected three agents, found ${#agents[@]}"

# Kills what stands in the state folder $1 and starts the same command line again.
kill_and_restart() {
  local pid command
  pid=$(field "$1" pid)
  mapfile -d '' command <"/proc/$pid/cmdline"
  kill -9 "$pid"
  start_again() {
    rm -f "$work/ended"
    setsid bash -c '"${@:2}"; echo $? >"$1"' - "$work/ended" "${command[@]}" >>"$work/restarted.log" 2>&1 </dev/null &
    disown
  }
  start_again
  # The API's port is in the configuration or chosen anew: ask again.
  came_back() {
    [ -e "$1/addresses.yaml" ] && [ "$(field "$1" pid)" != "$pid" ] && return 0
    # 137 is what was killed; with 5 it says that its port is some other program's, for a moment.
    case $(cat "$work/ended" 2>/dev/null) in
      ''|137) ;;
      5) start_again ;;
      *) fail "started again, it ended with $(cat "$work/ended")" ;;
    esac
    return 1
  }
  until_true came_back "$1"
  [ "$1" != "$work/cluster/scheduler" ] || export ALLOT_SERVER=http://$(field "$1" http)
}

training=$("$allot" submit --name training --tasks 2 --cpus 0.1 --memory 64MiB -- \
  "$bin/charlm-train" --data "$source/examples/charlm/data/devils-dictionary.txt" --steps 1000000000 --batch 1 --checkpoint-every 5000 --report-every 20000)
pids() { "$allot" job "$training" --json 2>/dev/null | jq -r '[.job.tasks[] | select(.phase == "running") | .pid] | join(" ")'; }
both_run() { [ "$(pids | wc -w)" -eq 2 ]; }
until_true both_run
before=$(pids)

# Every short job writes its id when it completes; appends of a line are whole.
: >"$work/acknowledged"
: >"$work/completed"
submit_all() {
  local i body id
  for ((i = 0; i < jobs; ++i)); do
    body=$(jq -n --arg script "sleep 0.$((i % 5)); echo \$ALLOT_JOB_ID >>'$work/completed'" \
      '{command: ["/bin/sh", "-c", $script], resources: {cpus: "0.1", memory: "8MiB"}}')
    # The key makes it safe to ask again where the answer was lost.
    until id=$(curl -fsS -H "Idempotency-Key: short-$i" -H 'Content-Type: application/json' -d "$body" \
      "http://$(field "$work/cluster/scheduler" http)/v1/jobs" 2>>"$work/submit.log" | jq -er .job.id); do pause 0.1; done
    echo "$id" >>"$work/acknowledged"
    pause 0.1
  done
}
submit_all &
submitter=$!

for ((i = 1; i <= kills; ++i)); do
  pause "$((RANDOM % 2)).$((RANDOM % 10))"
  if [ "$victim" = scheduler ]; then kill_and_restart "$work/cluster/scheduler"; else kill_and_restart "${agents[$((i % 3))]}"; fi
done
wait "$submitter" || fail "submitting failed"
submitter=

[ "$(sort -u "$work/acknowledged" | wc -l)" -eq "$jobs" ] || fail "$(sort -u "$work/acknowledged" | wc -l) ids for $jobs jobs"
while read -r id; do
  "$allot" wait "$id" --timeout 120s >"$work/wait.log" 2>&1 || fail "acknowledged $id did not succeed (code $?)"
done <"$work/acknowledged"
twice=$(sort "$work/completed" | uniq -d)
[ -z "$twice" ] || fail "ran to completion twice: $twice"
diff <(sort -u "$work/acknowledged") <(sort -u "$work/completed") >/dev/null || fail "acknowledged and completed differ"
until_true both_run
[ "$(pids)" = "$before" ] || fail "the training job's processes were $before and are $(pids)"
for pid in $before; do kill -0 "$pid" || fail "process $pid of the training job is gone"; done
attempt=$("$allot" job "$training" --json | jq .job.attempt)
[ "$attempt" -eq 1 ] || fail "the training job is at attempt $attempt"
"$allot" cancel "$training" >/dev/null
echo "ok $kills kills of $victim (seed $seed): $jobs acknowledged jobs completed once each; the training job kept its processes $before"
