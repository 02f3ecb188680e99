#!/usr/bin/env bash
# Compiles every header of the product (those of tests lean on their target's definitions) by itself: headers_alone.sh SOURCE BUILD COMPILER
set -euo pipefail
source=$1 build=$2 compiler=$3
cd "$source"
launcher=$(command -v ccache || true)
# As scripts/build.sh does: one checkout's answers serve every other.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
export launcher compiler build
check() {
  mkdir -p "$build/headers_alone"
  local unit="$build/headers_alone/${1//\//_}.cc"
  printf '#include "%s"\n' "$1" | cmp -s - "$unit" || printf '#include "%s"\n' "$1" >"$unit"
  $launcher "$compiler" -std=c++20 -w -I. -I"$build" -DBOOST_ASIO_SEPARATE_COMPILATION -DBOOST_BEAST_SEPARATE_COMPILATION \
    -c "$unit" -o "$unit.o" 2>"$unit.log" || { echo "$1 does not compile alone:"; head -5 "$unit.log"; return 1; }
}
export -f check
git ls-files -co --exclude-standard '*.h' ':!tests/' | xargs -P "$(nproc)" -I{} bash -c 'check {}'
echo "every header compiles alone"
