#!/usr/bin/env bash
# Looks for tests that fail now and then: runs them again and again beside a busy loop on each core.
#   scripts/flakes.sh [--fresh] [ROUNDS [ROUNDS_OF_OTHERS]]     default: 20 rounds, 3 of others
# Tests that start processes, open sockets or make namespaces run ROUNDS times, all others ROUNDS_OF_OTHERS times. Each
# round is kept in build/flakes; stopped, the next call goes on with the round that was not finished. --fresh forgets.
# At the end: every test that failed with how often, and the slowest. Exit code 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;; esac
kept=build/flakes
if [ "${1:-}" = --fresh ]; then rm -rf "$kept"; shift; fi
rounds=${1:-20} rounds_of_others=${2:-3}
scripts/deps.sh --test
scripts/build.sh dev
mkdir -p "$kept"

# Programs of unit tests that start processes or listen all the same.
outside='/(test_client|test_charlm|test_program|test_agent_devices|unit_http|unit_transport)$'
ctest --test-dir build/dev --show-only=json-v1 >"$kept/tests.json"
numbers() {  # of tests that reach outside (true) or do not (false), as ctest -I takes them
  jq -r --argjson wanted "$1" --arg outside "$outside" '
    [.tests | to_entries[]
     | select(.value.name != "Layout.EveryHeaderCompilesAlone")
     | select((((.value.properties[]? | select(.name == "LABELS") | .value) // ["unit"]) != ["unit"]
               or ((.value.command[0] // "") | test($outside))) == $wanted)
     | .key + 1] | "0,0,0," + (map(tostring) | join(","))' "$kept/tests.json"
}

busy=()
stop() { for pid in "${busy[@]}"; do kill "$pid" 2>/dev/null || true; done; }
trap stop EXIT
for ((core = 0; core < $(nproc); ++core)); do
  (while :; do :; done) &
  busy+=($!)
done

round() {  # NAME NUMBERS
  local file="$kept/$1.xml"
  [ -s "$file" ] && return 0
  rm -f "$kept/unfinished.xml"
  ctest --test-dir build/dev -I "$2" -j $((2 * $(nproc))) --timeout 300 --output-on-failure --output-junit "$PWD/$kept/unfinished.xml" \
    >"$kept/$1.log" 2>&1 || true
  [ -s "$kept/unfinished.xml" ] || { echo "flakes.sh: round $1 did not run, see $kept/$1.log" >&2; exit 2; }
  mv "$kept/unfinished.xml" "$file"
  echo "$1: $(grep -o 'tests="[0-9]*"' "$file" | head -1) $(grep -o 'failures="[0-9]*"' "$file" | head -1)"
}
inside=$(numbers false) reach=$(numbers true)
for ((i = 1; i <= rounds || i <= rounds_of_others; ++i)); do
  if ((i <= rounds)); then round "outside-$i" "$reach"; fi
  if ((i <= rounds_of_others)); then round "inside-$i" "$inside"; fi
done
stop

echo "--- slowest (seconds)"
grep -hoE '<testcase name="[^"]*"[^>]*time="[0-9.]*"' "$kept"/*side-*.xml |
  sed -E 's/<testcase name="([^"]*)".*time="([0-9.]*)"/\2 \1/' | sort -rn | awk '!seen[$2]++' | head -10
echo "--- failed, of so many runs"
failed=$(grep -hE '<testcase ' "$kept"/*side-*.xml | sed -E 's/.*<testcase name="([^"]*)".*status="([a-z]*)".*/\1 \2/' |
  awk '{ runs[$1]++; if ($2 == "fail") bad[$1]++ } END { for (t in bad) print bad[t], "of", runs[t], t }' | sort -rn)
if [ -z "$failed" ]; then echo "none"; else echo "$failed"; exit 1; fi
