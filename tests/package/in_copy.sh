#!/bin/bash
# Runs a script in a throwaway copy of this machine: an overlay over its root, with processes, network, hostname and IPC of its own.
# Nothing of it is left. As root.
#   in_copy.sh COMMAND …
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != --inside ]; then
  copy=$(mktemp -d)
  trap 'rmdir "$copy"' EXIT
  unshare --mount --pid --fork --net --uts --ipc --kill-child "$0" --inside "$copy" "$@"
  exit
fi
copy=$2
shift 2
mount -t tmpfs copy "$copy"
mkdir "$copy/upper" "$copy/work" "$copy/root"
mount -t overlay -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" overlay "$copy/root"
root=$copy/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for folder in tmp run var/tmp; do mount -t tmpfs "$folder" "$root/$folder"; done
# The checkout, and folders that are given, may lie where the copy has nothing: under /tmp, or on a filesystem of their own.
for folder in "$(cd "$here/../.." && pwd)" "$@"; do
  case "$folder" in
    /?*) if [ -d "$folder" ] && [ ! -e "$root$folder" ]; then
      mkdir -p "$root$folder"
      mount --bind "$folder" "$root$folder"
    fi ;;
  esac
done
mkdir -p "$root/run/systemd/system" "$root/etc/allotrope-test-root"
# In its place: apt gives dpkg a path of its own.
mv "$root/usr/bin/systemctl" "$root/usr/bin/systemctl.real"
cp "$here/systemctl" "$root/usr/bin/systemctl"
rm -f "$root/usr/sbin/policy-rc.d"
ip link set lo up
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb chroot "$root" "$@"
