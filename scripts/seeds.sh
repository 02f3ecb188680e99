#!/usr/bin/env bash
# Runs simulator seeds on all cores: scripts/seeds.sh COUNT [FIRST] [further arguments of allot-sim]
# A failure prints the seed, what was found, and the command that repeats it; exit code 1.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/seeds.sh COUNT [FIRST] [--events N] [--faults all|none|KIND,…]"
case "${1:-}" in -h|--help) echo "$usage"; exit 0 ;; esac
if [[ $# -lt 1 || ! $1 =~ ^[0-9]+$ || ( $# -ge 2 && ! $2 =~ ^[0-9]+$ ) ]]; then
  echo "$usage" >&2
  exit 2
fi
count=$1
first=${2:-1}
shift $(($# < 2 ? $# : 2))

scripts/build.sh release allot-sim
exec build/release/bin/allot-sim --seeds "$count" --first "$first" --jobs "$(nproc)" "$@"
