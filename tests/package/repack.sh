#!/bin/bash
# Makes packages of an earlier build out of today's: its programs in today's packaging, under a lower version.
#   repack.sh OLD_BIN NEW_DEBS OUT     OLD_BIN: a folder with the earlier build's programs
# The build before the first packages had none of its own; this is what it would have been.
set -euo pipefail
old=$1 new=$2 out=$3
mkdir -p "$out"
for deb in "$new"/allotrope-*.deb; do
  work=$(mktemp -d)
  dpkg-deb -R "$deb" "$work"
  for program in "$work"/usr/bin/* "$work"/usr/libexec/allotrope/*; do
    [ -e "$program" ] || continue
    cp "$old/$(basename "$program")" "$program"
    strip "$program"
  done
  version=$(sed -n 's/^Version: //p' "$work/DEBIAN/control")
  sed -i "s/^Version: .*/Version: 0.0.1-1/" "$work/DEBIAN/control"
  rm -f "$work/DEBIAN/md5sums"
  dpkg --compare-versions 0.0.1-1 lt "$version" || { echo "repack.sh: 0.0.1-1 is not before $version" >&2; exit 1; }
  dpkg-deb --root-owner-group -Znone -b "$work" "$out" >/dev/null
  rm -rf "$work"
done
