#!/usr/bin/env bash
# Configures and builds one preset into build/<preset>.
#   scripts/build.sh [dev|asan|tsan|release] [target …]     default: release, everything
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,3s/^# \?//p' "$0"; exit 0 ;; esac
preset=${1:-release}
shift || true
case "$preset" in
  dev|asan|tsan|release) ;;
  *) echo "build.sh: no preset '$preset'; one of dev, asan, tsan, release" >&2; exit 2 ;;
esac
# The same object files serve every checkout of the same source.
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
log=build/$preset/configure.log
mkdir -p "build/$preset"
if ! cmake --preset "$preset" >"$log" 2>&1; then
  tail -40 "$log" >&2
  echo "build.sh: configuring failed; scripts/deps.sh installs what is needed" >&2
  exit 1
fi
if [ $# -gt 0 ]; then ninja -C "build/$preset" "$@"; else ninja -C "build/$preset"; fi
