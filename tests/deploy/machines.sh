# Machines for a test: namespaces (network, mounts, processes, host name) on one bridge. Sourced, by a
# script that runs as root of namespaces of its own (own_world), so nothing of it is seen outside.
#   machine NAME ADDRESS    a machine with /etc, /var/lib and a home (/srv) of its own
#   on NAME COMMAND…        runs a command there
#   spawn NAME LOG COMMAND… starts one there and leaves it running
# Every name is in every machine's /etc/hosts, loopback as Debian's installer writes it.

# Runs this script again as root of its own network, mounts and processes, once.
own_world() {
  [ -n "${ALLOT_OWN_WORLD:-}" ] && { mount --make-rprivate /; return; }
  export ALLOT_OWN_WORLD=1
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(--user --map-root-user)
  exec unshare "${as_root[@]}" --net --mount --pid --fork --kill-child --mount-proc -- "$BASH" "$0" "$@"
}

declare -A machine_pid=() machine_address=()
machines_at=/mnt  # of a mount namespace of our own

bridge() {
  ip link set lo up
  ip link add br0 type bridge
  ip link set br0 up
  mount -t tmpfs machines "$machines_at"
}

# Writes every machine's hosts file anew: all names, and 127.0.1.1 for its own as Debian has it.
hosts() {
  local name other
  for name in "${!machine_pid[@]}"; do
    { echo "127.0.0.1 localhost"; echo "127.0.1.1 $name"
      for other in "${!machine_address[@]}"; do
        [ "$other" = "$name" ] || echo "${machine_address[$other]} $other"
      done; } >"$machines_at/$name/etc/hosts"
  done
}

machine() {
  local name=$1 address=$2 root=$machines_at/$1
  mkdir -p "$root/etc" "$root/lib" "$root/home"
  cp -a /etc/. "$root/etc/" 2>/dev/null || true
  rm -rf "$root/etc/allotrope"
  mkfifo "$root/ready"
  unshare --net --uts --mount --pid --fork --kill-child --mount-proc -- bash -c '
    root=$1 name=$2
    mount --bind "$root/etc" /etc && mount --bind "$root/lib" /var/lib && mount --bind "$root/home" /srv
    [ ! -d /run/systemd/system ] || mount -t tmpfs none /run/systemd
    hostname "$name"; ip link set lo up
    echo up >"$root/ready"
    exec sleep infinity' - "$root" "$name" &
  local shell=$!
  read -r <"$root/ready"
  machine_pid[$name]=$(cat "/proc/$shell/task/$shell/children"); machine_pid[$name]=${machine_pid[$name]% }
  machine_address[$name]=$address
  ip link add "v-$name" type veth peer name eth0 netns "${machine_pid[$name]}"
  ip link set "v-$name" master br0 up
  on "$name" ip addr add "$address/24" dev eth0
  on "$name" ip link set eth0 up
  hosts
}

on() {
  local name=$1
  shift
  nsenter -t "${machine_pid[$name]}" -n -u -m -p -r -- env -i HOME=/srv PATH="$PATH" TERM=dumb \
    sh -c 'cd /srv && exec "$@"' sh "$@"
}

spawn() {
  local name=$1 log=$2
  shift 2
  on "$name" setsid "$@" >"$log" 2>&1 </dev/null &
}

# until_true COMMAND…: again and again until it succeeds, a minute and a half at most.
until_true() {
  local end=$((SECONDS + 90))
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "never came true: $*" >&2; return 1; }
    read -rt 0.2 <>"$machines_at/never" || true
  done
}
