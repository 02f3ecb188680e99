#!/bin/bash
# The packages in a bare Debian: what they say they need is all they get, from Debian's mirror as this machine's apt has it.
#   clean_root.sh BUILD [OLD_BIN]     OLD_BIN: programs of an earlier build to upgrade from; left out: the same ones, as packages of a lower version
# As root; needs mmdebstrap, dpkg-dev and the mirror. The bare root is kept (build/clean-root.tar) and made again when that file is removed.
# Not in CI, which has no mirror: packages_test.sh goes the same way there, in a copy of the machine.
set -euo pipefail
case "${1:-}" in -h|--help|'') sed -n '2,5s/^# \?//p' "$0"; exit 0 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
if [ "$1" != --inside ]; then
  build=$(realpath "$1") old=$(realpath "${2:-$1/bin}")
  tar=$here/../../build/clean-root.tar
  for tool in mmdebstrap dpkg-shlibdeps; do command -v "$tool" >/dev/null || { echo "clean_root.sh: $tool is missing" >&2; exit 2; }; done
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  apt-config dump | grep -E '^Acquire::(http|https|ftp)::' >"$work/apt.conf" || true
  if [ ! -e "$tar" ]; then
    . /etc/os-release
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u >"$work/sources"
    [ -s "$work/sources" ] || { echo "clean_root.sh: this machine's apt knows no Debian; run apt-get update" >&2; exit 2; }
    mkdir -p "$(dirname "$tar")"
    # systemd: its systemctl makes the links of units; the rest is what lifecycle.sh calls.
    mmdebstrap --variant=apt --include=systemd,iproute2,curl,jq,perl --aptopt="$work/apt.conf" "$VERSION_CODENAME" "${tar%.tar}.new.tar" "$work/sources" >"$work/log" 2>&1 ||
      { cat "$work/log" >&2; exit 1; }
    mv "${tar%.tar}.new.tar" "$tar"
  fi
  ALLOT_PACKAGE_RELEASE=2 cpack --config "$build/CPackConfig.cmake" -B "$work/packages" -D CPACK_DEBIAN_PACKAGE_RELEASE=2 >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  root=$work/root
  mkdir -p "$root"
  tar -C "$root" -xf "$tar"
  mkdir -p "$root/packages/new" "$root/packages/test" "$root/etc/allotrope-test-root"
  mv "$work"/packages/allotrope-*.deb "$root/packages/new/"
  "$here/repack.sh" "$old" "$root/packages/new" "$root/packages/old"
  cp "$here/lifecycle.sh" "$root/packages/test/"
  touch "$root/etc/allotrope-test-root/apt"
  # With the network: what the packages depend on, and no more, is fetched. Without it: everything else.
  cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  cp "$work/apt.conf" "$root/etc/apt/apt.conf.d/90test"
  chroot "$root" sh -euc 'apt-get update -qq; apt-get install -y -qq --no-install-recommends --download-only /packages/old/*.deb' >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
  unshare --mount --pid --fork --net --uts --ipc --kill-child "$0" --inside "$root"
  exit
fi
root=$2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for folder in tmp run; do mount -t tmpfs "$folder" "$root/$folder"; done
mkdir -p "$root/run/systemd/system"
# In its place: apt gives dpkg a path of its own.
mv "$root/usr/bin/systemctl" "$root/usr/bin/systemctl.real"
cp "$here/systemctl" "$root/usr/bin/systemctl"
ip link set lo up
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb chroot "$root" /packages/test/lifecycle.sh /packages/old /packages/new
