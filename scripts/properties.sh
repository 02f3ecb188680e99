#!/usr/bin/env bash
# Runs the property tests with ROUNDS fresh seeds and files what fails.
#   scripts/properties.sh ROUNDS [FIRST]     default FIRST: drawn anew
# Every test program with properties runs once a round with one seed. A failure is appended to
# build/properties-found.txt as a line that belongs into tests/properties_regressions.txt once its cause is known.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in ""|-h|--help) sed -n '2,5s/^# \?//p' "$0"; exit 0 ;; esac
rounds=$1
first=${2:-$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')}
# Programs that link RapidCheck; the folders' CMakeLists.txt say which.
mapfile -t programs < <(grep -rhoE '^allot_test(_folder)?\([a-z_]+ .*rapidcheck' tests --include=CMakeLists.txt | sed -E 's/^[a-z_]+\(([a-z_]+) .*/\1/' | sort)
scripts/build.sh dev "${programs[@]}"
found=build/properties-found.txt
failed=0
for ((round = 0; round < rounds; ++round)); do
  seed=$((first + round))
  for program in "${programs[@]}"; do
    log=$(mktemp)
    if ! RC_PARAMS="seed=$seed" "build/dev/bin/$program" --gtest_brief=1 >"$log" 2>&1; then
      failed=1
      grep -oE '^\[  FAILED  \] [A-Za-z]+\.[A-Za-z]+' "$log" | awk '{print $4}' | sort -u | while read -r test; do
        echo "$program $test $seed" | tee -a "$found"
      done
    fi
    rm -f "$log"
  done
  echo "round $((round + 1)) of $rounds done (seed $seed)"
done
exit $failed
