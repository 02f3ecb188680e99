#!/bin/bash
# The packages of a build, in a throwaway copy of this machine: lifecycle.sh says what is looked at.
#   packages_test.sh BUILD [OLD_BIN]     OLD_BIN: programs of an earlier build to upgrade from; left out: the same ones, as packages of a lower version
set -euo pipefail
build=$1 old=${2:-$1/bin}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work" "$work-old" "$work-new"' EXIT
cpack --config "$build/CPackConfig.cmake" -B "$work" -D CPACK_DEBIAN_PACKAGE_RELEASE=2 >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mkdir "$work-new"
mv "$work"/allotrope-*.deb "$work-new"
# Each stands on its own: everything it is linked to is among its Depends, found out and not written down.
for deb in "$work-new"/*.deb; do
  dpkg-deb -f "$deb" Depends | grep -q 'libc6 (>= ' || { echo "FAILED: $deb depends on no C library" >&2; exit 1; }
done
"$here/repack.sh" "$old" "$work-new" "$work-old"
"$here/in_copy.sh" "$here/lifecycle.sh" "$work-old" "$work-new"
