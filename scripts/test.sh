#!/usr/bin/env bash
# Installs what is missing, builds, runs every test.
#   scripts/test.sh [dev|asan|tsan] [ctest arguments …]     default: dev, all tests
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,3s/^# \?//p' "$0"; exit 0 ;; esac
preset=dev
case "${1:-}" in dev|asan|tsan) preset=$1; shift ;; esac
scripts/deps.sh --test
NINJA_STATUS='[%f/%t] ' scripts/build.sh "$preset"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=suppressions=$PWD/tests/tsan.supp:halt_on_error=1
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
# Tests of processes wait more than they compute.
ctest --preset "$preset" -j $(($(nproc) + 2)) --timeout 300 "$@"
# Beside all tests, the decoders: twenty seconds each, from what is in the repository.
if [ "$preset" = asan ] && [ $# -eq 0 ]; then ALLOT_FUZZ_BUILT=1 scripts/fuzz.sh 20; fi
