#!/usr/bin/env bash
# Makes COUNT small wrong changes at random, one at a time, and prints those that no test and no seed notices.
#   scripts/mutate.sh COUNT [SEED] [--part scheduler/core]… [--jobs N] [--again] [--list]
# All changes are compiled into one copy of the programs (build/mutants), where an environment variable says which of
# them is alive, so that each costs a run and no build. Stopped, it goes on where it was; --again tries survivors once
# more after tests were written. What changes nothing is listed with its reason in scripts/mutants/equivalent.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  ""|-h|--help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;;
esac
scripts/deps.sh --test
if ! /usr/bin/python3 -c 'import clang.cindex' 2>/dev/null; then
  [ "$(id -u)" -eq 0 ] && as_root=() || as_root=(sudo)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang-14 python3-clang-14 >/dev/null ||
    { echo "mutate.sh: needs the packages clang-14 and python3-clang-14" >&2; exit 1; }
fi
exec /usr/bin/python3 scripts/mutants/mutate.py "$@"
