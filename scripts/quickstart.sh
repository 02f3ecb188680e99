#!/usr/bin/env bash
# Trains a model on a mixed fleet and serves it from GPU, CPU and ASIC devices, on this machine.
#   scripts/quickstart.sh [--keep] [--dir FOLDER] [--requests N] [--no-build]
# --keep leaves the cluster running (else nothing is left but FOLDER, .quickstart by default);
# --requests: for each of the two policies, 200 by default. GPUs and ASICs are emulated: they take
# real work and do it on this machine's processors.
set -euo pipefail
cd "$(dirname "$0")/.."

keep='' build=yes requests=200 work=$PWD/.quickstart
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=yes ;;
    --no-build) build='' ;;
    --dir) work=${2:?--dir needs a folder}; shift ;;
    --requests) requests=${2:?--requests needs a number}; shift ;;
    -h|--help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
work=$(realpath -m "$work")
bin=$PWD/build/release/bin
cluster=$work/cluster
allot() { "$bin/allot" "$@"; }
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { echo "quickstart.sh: $*" >&2; exit 1; }

if [ "$build" ]; then
  say "Installing what is missing and building (release)"
  scripts/deps.sh
  NINJA_STATUS='[%f/%t] ' scripts/build.sh release \
    allot allot-scheduler allot-agent allot-supervisor charlm-train charlm-server
fi
[ -x "$bin/allot" ] || fail "$bin/allot is missing; run without --no-build"
started=$SECONDS

# The folder is ours if we made it; somebody else's is left alone.
if [ -e "$work" ] && [ ! -e "$work/.allot-quickstart" ]; then
  fail "$work is there and not from a quickstart; give another folder with --dir"
fi
if [ -e "$cluster/cluster.yaml" ] && allot local status --dir "$cluster" >/dev/null 2>&1; then
  fail "an earlier quickstart still runs; tear it down with: $bin/allot local down --dir $cluster"
fi
rm -rf "$work"
mkdir -p "$work"
touch "$work/.allot-quickstart"

finish() {
  status=$?
  trap '' INT TERM
  if [ "$keep" ] && [ "$status" -eq 0 ]; then return; fi
  "$bin/allot" local down --dir "$cluster" >/dev/null 2>&1 || true
  [ "$status" -eq 0 ] || echo "quickstart.sh: stopped; logs are in $cluster/logs" >&2
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "Starting one scheduler and three agents on loopback"
allot local up --dir "$cluster"
environment=$(allot local env --dir "$cluster")
eval "$environment"
allot devices

say "Training examples/charlm as a gang of two"
job=$(allot submit examples/charlm/job.yaml --checkpoint-dir "$work/checkpoint")
echo "$job; its first task says:"
allot logs -f "$job" --task 0 | tee "$work/train.log"
allot wait "$job"
allot job "$job"
[ -s "$work/train.log" ] || fail "the training job said nothing"

say "Loss over the steps"
awk '/^step .* loss / { split($2, s, "/"); step[++n] = s[1]; loss[n] = $4; if ($4 > top) top = $4 }
     END { for (i = 1; i <= n; ++i) { bar = ""; for (k = 0; k < 50 * loss[i] / top; ++k) bar = bar "#"
           printf "%8d  %7.4f  %s\n", step[i], loss[i], bar } }' "$work/train.log"

say "Deploying the checkpoint on all three device kinds"
sed "s|--checkpoint, checkpoint|--checkpoint, $work/checkpoint|" examples/charlm/deployment.yaml >"$work/deployment.yaml"
allot deploy "$work/deployment.yaml" --wait
allot deployments

for policy in cheapest-within-slo lowest-latency; do
  say "$requests requests under the policy $policy, half of them streaming"
  allot policy apply "policies/conf/$policy.yaml"
  # The first answers teach the gateway how fast each device is; they are not counted.
  allot load --model charlm --requests 30 --concurrency 4 --json >"$work/warm-up.json"
  allot load --model charlm --requests "$requests" --concurrency 4 --stream-ratio 0.5 --json >"$work/$policy.json"
  allot load --report "$work/$policy.json"
done

say "Side by side"
allot load --report "$work/cheapest-within-slo.json" "$work/lowest-latency.json"
if command -v curl >/dev/null; then
  printf '\nWhat it says: '
  curl -s "$ALLOT_GATEWAY/v1/completions" -H "Authorization: Bearer $ALLOT_TOKEN" -H 'Content-Type: application/json' \
    -d '{"model": "charlm", "prompt": "LOVE, n. ", "max_tokens": 80}' | sed -n 's/.*"text": \?"\([^"]*\)".*/\1/p'
fi

say "Done in $((SECONDS - started)) s"
if [ "$keep" ]; then
  cat <<END
It stays up. Look at it:
  export PATH=$bin:\$PATH; eval "\$(allot local env --dir $cluster)"
  allot top --watch; allot deployments; allot explain $job
  models   $ALLOT_GATEWAY/v1      (any OpenAI client, with \$ALLOT_TOKEN as its API key)
  metrics  $ALLOT_SERVER/metrics
Tear it down:
  $bin/allot local down --dir $cluster; rm -rf $work
END
else
  echo "Everything is stopped; logs, checkpoint and reports are in $work. With --keep it stays up."
fi
