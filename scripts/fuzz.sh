#!/usr/bin/env bash
# Fuzzes decoders of outside bytes (tests/fuzz, ADR 24), as many at once as there are cores.
#   scripts/fuzz.sh [SECONDS [TARGET …]]     default: 20 seconds each, all targets
#   scripts/fuzz.sh --list
# What was found interesting is kept in build/fuzz/corpus/TARGET and built upon by the next run. Prints for each target
# executions, coverage (edges, features) and inputs kept; an input that fails goes to build/fuzz/found, with the command
# that repeats it, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,7s/^# \?//p' "$0"; exit 0 ;; esac
mapfile -t all < <(basename -s .cc -a tests/fuzz/targets/*.cc)
if [ "${1:-}" = --list ]; then printf '%s\n' "${all[@]}"; exit 0; fi
seconds=${1:-20}
shift || true
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then echo "fuzz.sh: \"$seconds\" is no number of seconds; see --help" >&2; exit 2; fi
targets=("$@")
[ $# -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [ -f "tests/fuzz/targets/$target.cc" ] || { echo "fuzz.sh: no target \"$target\"; --list tells them" >&2; exit 2; }
done

mkdir -p build/fuzz/found build/fuzz/log
if [ -z "${ALLOT_FUZZ_BUILT:-}" ]; then  # Set by who has built them already.
  NINJA_STATUS='[%f/%t] ' scripts/build.sh asan "${targets[@]/#/fuzz_}" >build/fuzz/build.log 2>&1 ||
    { tail -40 build/fuzz/build.log >&2; exit 1; }
fi
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=0

# One target: a line of what was done, or of what was found.
fuzz_one() {
  local target=$1 seconds=$2 log=build/fuzz/log/$1 corpus=build/fuzz/corpus/$1 found=build/fuzz/found/$1
  local options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -use_value_profile=1
                 -reload=0 -artifact_prefix="$found-")
  [ -f "tests/fuzz/dictionaries/$target" ] && options+=(-dict="tests/fuzz/dictionaries/$target")
  mkdir -p "$corpus"
  local rc=0
  "build/asan/bin/fuzz_$target" "${options[@]}" "$corpus" "tests/fuzz/seeds/$target" >"$log" 2>&1 || rc=$?
  local runs edges features kept
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+' || true)
  features=$(grep -oE 'ft: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+' || true)
  kept=$(find "$corpus" -type f | wc -l)
  local said
  said=$(printf '%-16s %10s executions %6s edges %7s features %6s kept' "$target" "${runs:-?}" "${edges:-?}" "${features:-?}" "$kept")
  if [ "$rc" -ne 0 ]; then
    local input
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    said+=$(printf '\n'; grep -E 'does not hold|ERROR: |runtime error|SUMMARY' "$log" | head -5 | sed 's/^/    /' || true)
    said+=$(printf '\n    repeat: build/asan/bin/fuzz_%s %s    (log: %s)' "$target" "${input:-build/fuzz/corpus/$target}" "$log")
  fi
  printf '%s\n' "$said"  # at once: others run beside it
  return "$((rc != 0))"
}
export -f fuzz_one
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one "$@" || exit 1' fuzz_one {} "$seconds" || {
  echo "fuzz.sh: something was found; mend it, and keep the input in tests/fuzz/seeds/TARGET" >&2
  exit 1
}
