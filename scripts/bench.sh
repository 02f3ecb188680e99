#!/usr/bin/env bash
# Benchmarks, one question each; every one prints method, machine, runs, median and spread.
#   scripts/bench.sh --list
#   scripts/bench.sh [NAME …] [--json]       all of them without a name
set -euo pipefail
cd "$(dirname "$0")/.."
json=() names=()
for argument in "$@"; do
  case "$argument" in
    -h|--help) sed -n '2,4s/^# \?//p' "$0"; exit 0 ;;
    --list) list=1 ;;
    --json) json=(--json) ;;
    -*) echo "bench.sh: unknown flag '$argument'; see --help" >&2; exit 2 ;;
    *) names+=("$argument") ;;
  esac
done
known() { for file in benchmarks/*.cmake; do basename "$file" .cmake; done; }
if [ -n "${list:-}" ]; then
  for name in $(known); do printf '%-20s %s\n' "$name" "$(sed -n '1s|^// *||p' "benchmarks/$name.cc")"; done
  exit 0
fi
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(known)
for name in "${names[@]}"; do
  # Not `known | grep -q`: grep leaves at the first match, and the broken pipe would count as a failure.
  [ -e "benchmarks/$name.cmake" ] || { echo "bench.sh: no benchmark '$name'; scripts/bench.sh --list names them" >&2; exit 2; }
done
scripts/deps.sh
scripts/build.sh release >&2
for name in "${names[@]}"; do "build/release/bin/bench-$name" "${json[@]}"; done
