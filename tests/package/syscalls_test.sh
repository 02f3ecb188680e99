#!/bin/bash
# Scheduler and gateway make no system call that the filter of their units forbids: no systemd runs where tests do, and a library that
# aborts for want of a call (libzmq does) would first be met by a user. Watched by strace, from start to stop, while a job, its log and
# requests go through them.
#   syscalls_test.sh BUILD
set -euo pipefail
build=$(realpath "$1") bin=$(realpath "$1")/bin
here=$(cd "$(dirname "$0")" && pwd)
filter=$here/../../packaging/systemd/hardening.conf
work=$(mktemp -d)
pids=()
# What strace watches outlives it.
trap 'code=$?; for pid in "${pids[@]}" $(sed -n "s/^pid: *//p" "$work"/*/addresses.yaml 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$work"; exit $code' EXIT
fail() { echo "FAILED: $*" >&2; tail -n 20 "$work"/*.log >&2 2>/dev/null || true; exit 1; }
trap 'fail "line $LINENO"' ERR
mkfifo "$work/never"
until_true() {
  local end=$((SECONDS + 100))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    read -rt 0.05 <>"$work/never" || true
  done
}
# The names that a list of calls and @groups stands for.
expand() {
  local name
  for name in "$@"; do
    case "$name" in
      @*) expand $(systemd-analyze --no-pager syscall-filter "$name" | sed '1d; s/^ *//; /^#/d; /^$/d') ;;
      *) echo "$name" ;;
    esac
  done
}
# As systemd reads the lines: names are added, after ~ taken away.
: >"$work/allowed"
while read -r line; do
  case "$line" in
    '~'*) expand ${line#\~} | sort -u | comm -23 "$work/allowed" - >"$work/next" ;;
    *) expand $line | sort -u "$work/allowed" - >"$work/next" ;;
  esac
  mv "$work/next" "$work/allowed"
done < <(sed -n 's/^SystemCallFilter=//p' "$filter")
grep -qx read "$work/allowed" && ! grep -qx mount "$work/allowed" || fail "the filter is not what it is taken for"

cd "$work"
field() { sed -n "s/^$2: *[\"']\?\([^\"']*\)[\"']\?$/\1/p" "$1/addresses.yaml"; }
watched() {  # NAME PROGRAM
  strace -f -qq -o "$1.trace" "$bin/$2" --config "$1.yaml" >"$1.log" 2>&1 &
  pids+=($!)
  disown
  until_true test -e "$1/addresses.yaml"
}
for name in scheduler gateway agent; do "$bin/allot" keys new $name.key >/dev/null; done
printf 'peers: []\n' >allow.yaml
"$bin/allot" keys enroll allow.yaml --name gw --role gateway --key-file gateway.key >/dev/null
"$bin/allot" keys enroll allow.yaml --name n1 --role agent --key-file agent.key >/dev/null
printf 'state_dir: scheduler\nlisten: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\nkey_file: scheduler.key\nallow_file: allow.yaml\nlocal: true\ncheckpoint_root: checkpoints\n' >scheduler.yaml
watched scheduler allot-scheduler
common="scheduler: $(field scheduler endpoint)
scheduler_public_key: '$(field scheduler public_key)'"
printf 'name: gw\nstate_dir: gateway\nkey_file: gateway.key\nallow_file: allow.yaml\nlocal: true\nlisten: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\n%s\n' "$common" >gateway.yaml
watched gateway allot-gateway
printf 'name: n1\nstate_dir: agent\nkey_file: agent.key\naddress: 127.0.0.1\nhttp_listen: 127.0.0.1:0\nisolation: {cgroups: false}\nusers: {separation: off}\n%s\n' "$common" >agent.yaml
"$bin/allot-agent" --config agent.yaml >agent.log 2>&1 &
pids+=($!)
disown
export ALLOT_SERVER=http://$(field scheduler http)
alive() { "$bin/allot" nodes --json | jq -e '[.nodes[] | select(.alive)] | length == 1'; }
until_true alive
[ "$("$bin/allot" submit --cpus 0.1 --memory 16MiB --follow -- /bin/echo through 2>/dev/null)" != "" ] || fail "a job does not go through"
linked() { [ "$(curl -sS -o answer -w '%{http_code}' -d '{"model": "none", "prompt": "x"}' -H 'Content-Type: application/json' "http://$(field gateway http)/v1/completions")" = 404 ]; }
until_true linked
# A signal that the first thread has no time for is handed to one that takes it; libzmq's waits would end there.
for name in scheduler gateway; do
  pid=$(field $name pid)
  for task in /proc/"$pid"/task/*; do
    [ "${task##*/}" = "$pid" ] && continue
    blocked=$((16#$(sed -n 's/^SigBlk:\s*//p' "$task/status")))
    for signal in 1 2 15; do  # HUP, INT, TERM
      ((blocked >> (signal - 1) & 1)) || fail "a thread of $name takes signal $signal: $(cat "$task/comm")"
    done
  done
done
# Lists are read again, and the programs stop as they are told to.
"$bin/allot" keys enroll allow.yaml --name n2 --role agent --public-key "$("$bin/allot" keys new other.key)" >/dev/null 2>&1 || "$bin/allot" keys enroll allow.yaml --name n2 --role agent --key-file other.key >/dev/null
until_true grep -q 'peers=3' scheduler.log
for name in scheduler gateway; do
  kill -TERM "$(field $name pid)"
  until_true test ! -e $name/addresses.yaml
done
for name in scheduler gateway; do
  sed -E 's/^[0-9]+ +//' $name.trace | grep -oE '^[a-z][a-z0-9_]*\(' | tr -d '(' | sort -u >$name.used
  [ "$(wc -l <$name.used)" -gt 40 ] || fail "strace has seen only $(wc -l <$name.used) calls of $name"
  forbidden=$(comm -23 $name.used "$work/allowed")
  [ -z "$forbidden" ] || fail "allot-$name calls what its unit forbids: $(echo $forbidden)"
done
echo "ok"
