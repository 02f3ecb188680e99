#!/usr/bin/env bash
# What takes hours and so is no part of CI: an hour of fuzzing for what strangers reach, ten minutes for each other decoder;
# an hour of the simulator's seeds; an hour of chaos on real programs, ten minutes a seed; a hundred restores of a busy cluster.
#   scripts/long.sh [fuzz] [seeds] [chaos] [restores]     default: all of it, in this order
# It may be stopped at any time: what is done is not done again for the same commit, and a target that was stopped goes on
# from the inputs it had. build/long/COMMIT keeps what was measured: report.txt, and a log of each part.
#   ALLOT_LONG_SCALE=0.01    a hundredth of the time, to try the script itself
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,8s/^# \?//p' "$0"; exit 0 ;; esac
scale=${ALLOT_LONG_SCALE:-1}
folder=build/long/$(git describe --always --dirty --exclude '*')
mkdir -p "$folder"
failed=0

scaled() { awk -v s="$1" -v by="$scale" 'BEGIN { n = int(s * by); print n < 1 ? 1 : n }'; }

# part NAME COMMAND …: once for each commit, its output kept; how it ended is in NAME.rc. Parts that failed are run again.
part() {
  local name=$1 log=$folder/$1.log rc=0
  shift
  if [ "$(cat "$folder/$name.rc" 2>/dev/null)" = 0 ]; then echo "$name: done before ($log)"; return 0; fi
  echo "$name: $(date -u +%H:%M:%S) $*"
  "$@" >"$log.new" 2>&1 || rc=$?
  mv "$log.new" "$log"
  echo "$rc" >"$folder/$name.rc"
  { echo "== $name, $(date -u +%FT%TZ), exit code $rc: $*"; tail -20 "$log"; } >>"$folder/report.txt"
  tail -20 "$log" | sed 's/^/  /'
  [ "$rc" -eq 0 ] || { failed=1; echo "$name: exit code $rc, see $log"; }
}

# What anyone can send who reaches a port, or who has a token.
hour=(envelope http_request config_json)

run_fuzz() {
  local targets target seconds
  mapfile -t targets < <(scripts/fuzz.sh --list)
  scripts/build.sh asan fuzzers >"$folder/build.log" 2>&1 || { tail -40 "$folder/build.log"; exit 1; }
  export ALLOT_FUZZ_BUILT=1
  local long=() short=()
  for target in "${targets[@]}"; do
    if [[ " ${hour[*]} " == *" $target "* ]]; then long+=("$target"); else short+=("$target"); fi
  done
  # As many side by side as there are cores, each a part of its own.
  seconds=$(scaled 3600)
  side_by_side "$seconds" "${long[@]}"
  seconds=$(scaled 600)
  side_by_side "$seconds" "${short[@]}"
}

side_by_side() {
  local seconds=$1 cores running=0 target
  cores=$(nproc)
  shift
  for target in "$@"; do
    part "fuzz-$target" scripts/fuzz.sh "$seconds" "$target" &
    running=$((running + 1))
    if [ "$running" -ge "$cores" ]; then wait -n || true; running=$((running - 1)); fi
  done
  wait
  for target in "$@"; do [ "$(cat "$folder/fuzz-$target.rc" 2>/dev/null)" = 0 ] || failed=1; done
}

# Seeds nobody has run: they begin where the last run ended. A thousand at a time, each a part, for an hour.
run_seeds() {
  local next_file=build/long/next-seed end next
  end=$((SECONDS + $(scaled 3600)))
  while [ "$SECONDS" -lt "$end" ]; do
    next=$(cat "$next_file" 2>/dev/null || echo 1000000)
    part "seeds-$next" scripts/seeds.sh "$(scaled 1000)" "$next"
    echo $((next + 1000)) >"$next_file"
    [ "$failed" -eq 0 ] || break
  done
}

chaos_programs() {
  scripts/build.sh dev chaos_programs >"$folder/build.log" 2>&1 || { tail -40 "$folder/build.log"; exit 1; }
}

# Seeds that go on from the last run's, as above; each ten minutes are a part.
run_chaos() {
  local next_file=build/long/next-chaos next count
  chaos_programs
  for ((count = 0; count < 6; ++count)); do
    next=$(cat "$next_file" 2>/dev/null || echo 1000)
    part "chaos-$next" tests/faults/chaos/chaos.py build/dev/bin --seed "$next" --seconds "$(scaled 600)"
    echo $((next + 1)) >"$next_file"
  done
}

run_restores() {
  chaos_programs
  part restores tests/faults/chaos/restores.py build/dev/bin --seed 1000 --restores "$(scaled 100)"
}

parts=("$@")
[ $# -gt 0 ] || parts=(fuzz seeds chaos restores)
for name in "${parts[@]}"; do
  case "$name" in
    fuzz|seeds|chaos|restores) "run_$name" ;;
    *) echo "long.sh: no part \"$name\"; fuzz, seeds, chaos, restores" >&2; exit 2 ;;
  esac
done
echo "kept in $folder"
exit "$failed"
