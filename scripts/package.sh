#!/usr/bin/env bash
# Builds the Debian packages: allotrope-client, -scheduler, -agent, -gateway.
#   scripts/package.sh [OUT [PRESET]]     default: build/packages, release
# The number after the version counts the commits of this history, so that a later build is an upgrade of an earlier one.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in -h|--help) sed -n '2,4s/^# \?//p' "$0"; exit 0 ;; esac
out=${1:-build/packages} preset=${2:-release}
command -v dpkg-shlibdeps >/dev/null || { echo "package.sh: dpkg-shlibdeps is missing; install dpkg-dev" >&2; exit 1; }
scripts/build.sh "$preset" allot_packaging
mkdir -p "$out"
rm -f "$out"/allotrope-*.deb
release=$(git rev-list --count HEAD 2>/dev/null || echo 1)
cpack --config "build/$preset/CPackConfig.cmake" -B "$(realpath "$out")" -D "CPACK_DEBIAN_PACKAGE_RELEASE=${ALLOT_PACKAGE_RELEASE:-$release}" >"$out/cpack.log" 2>&1 ||
  { cat "$out/cpack.log" >&2; exit 1; }
rm -rf "$out/_CPack_Packages"
ls "$out"/allotrope-*.deb
