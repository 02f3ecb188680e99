#!/bin/bash
# Programs of two builds together: scheduler, gateway, agents and client, each old or new, in every combination.
#   mixed.sh OLD_BIN NEW_BIN [COMBINATION …]     folders with the programs; a combination like "onno": scheduler, gateway, agents, client
# In each: a job, a gang over two nodes, logs, a stream through the gateway, and kill -9 of agent, gateway and scheduler, which are started
# again with the same build, while gang and stream's replica run on. In those with an old scheduler or agent it is then upgraded to the new
# one, on its own files, under work. Needs curl, jq and perl; about ten seconds a combination.
set -euo pipefail
case "${1:-}" in -h|--help|'') sed -n '2,6s/^# \?//p' "$0"; exit 0 ;; esac
old=$(realpath "$1") new=$(realpath "$2")
shift 2
combinations=("$@")
[ ${#combinations[@]} -gt 0 ] || combinations=({n,o}{n,o}{n,o}{n,o})
root=$(mktemp -d)
chmod 0711 "$root"  # work runs as users of its own, whose folders are below
export ALLOT_MIXED_ROOT=$root  # in the environment of all that we start
mkfifo "$root/never"
current=''
say_logs() { tail -n 15 "$root/$current"/*.log >&2 2>/dev/null || true; }
fail() { echo "FAILED in $current (scheduler, gateway, agents, client): $*" >&2; say_logs; exit 1; }
trap 'fail "line $LINENO"' ERR
end_all() {
  local environment pid
  for environment in /proc/[0-9]*/environ; do
    pid=${environment#/proc/} pid=${pid%/environ}
    [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] || continue
    if grep -qs "$root/" "$environment" "/proc/$pid/cmdline" && [ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$BASH")" ]; then kill -9 "$pid" 2>/dev/null || true; fi
  done
}
trap 'code=$?; end_all; rm -rf "$root"; exit $code' EXIT
until_true() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    read -rt 0.05 <>"$root/never" || true
  done
}
field() { sed -n "s/^$2: *[\"']\?\([^\"']*\)[\"']\?$/\1/p" "$1/addresses.yaml"; }
start() {  # NAME PROGRAM STATE: its pid in pids[NAME], once it is ready
  rm -f "$work/$3/addresses.yaml"
  ALLOT_MIXED_ROOT=$root/ "$2" --config "$work/$1.yaml" >>"$work/$1.log" 2>&1 </dev/null &
  pids[$1]=$!
  disown
  until_true test -e "$work/$3/addresses.yaml"
}
kill_hard() { kill -9 "${pids[$1]}"; until_true sh -c "! kill -0 ${pids[$1]} 2>/dev/null"; }
job() { "$client" job "$1" --json | jq -r "$2"; }
runs_at() { [ "$(job "$1" '[.job.tasks[] | select(.phase == "running")] | length')" = "$2" ]; }
ended() { [ "$(job "$1" .job.phase)" = finished ]; }
pids_of() { job "$1" '[.job.tasks[].pid] | join(" ")'; }
alive() { [ "$("$client" nodes --json | jq '[.nodes[] | select(.alive)] | length')" = "$1" ]; }
log_is() { [ "$("$client" logs --task 0 "$1")" = "$2" ]; }
stream() { curl -fsSN -m 20 -H 'Content-Type: application/json' -d '{"model": "talk", "prompt": "x", "stream": true}' "http://$(field "$work/gateway" http)/v1/completions"; }
streams() { [ "$(stream | grep -c '^data: ')" = 5 ]; }
# What a client's request gets: a head, then pieces, a moment apart.
server='$s = IO::Socket::INET->new(Listen => 64, LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], ReuseAddr => 1) or die; $| = 1;
while ($c = $s->accept) {
  $n = 0; $get = 0;
  while (<$c>) { $get = 1 if /^GET/; $n = $1 if /^content-length: *(\d+)/i; last if /^\r?$/ }
  read $c, $b, $n;
  $c->autoflush(1);
  if ($get) { print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; close $c; next }
  print $c "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
  for (1 .. 4) { print $c "data: {\"n\": $_}\n\n"; select undef, undef, undef, 0.02 }
  print $c "data: [DONE]\n\n"; close $c }'

run() {
  current=$1
  work=$root/$1
  local -A bin=([o]=$old [n]=$new)
  scheduler=${bin[${1:0:1}]} gateway=${bin[${1:1:1}]} agent=${bin[${1:2:1}]} client=${bin[${1:3:1}]}/allot
  declare -gA pids=()
  mkdir -p "$work"/{scheduler,gateway,n1,n2}
  cd "$work"
  for name in scheduler gateway n1 n2; do "$client" keys new "$name.key" >/dev/null; done
  printf 'peers: []\n' >allow.yaml
  "$client" keys enroll allow.yaml --name gw --role gateway --key-file gateway.key >/dev/null
  for name in n1 n2; do "$client" keys enroll allow.yaml --name $name --role agent --key-file $name.key >/dev/null; done
  scheduler_yaml() { printf 'state_dir: scheduler\nlisten: %s\nhttp_listen: %s\nkey_file: scheduler.key\nallow_file: allow.yaml\nlocal: true\ncheckpoint_root: checkpoints\n' "$1" "$2" >scheduler.yaml; }
  scheduler_yaml tcp://127.0.0.1:0 127.0.0.1:0
  start scheduler "$scheduler/allot-scheduler" scheduler
  local endpoint=$(field scheduler endpoint) key=$(field scheduler public_key)
  scheduler_yaml "$endpoint" "$(field scheduler http)"  # found again after a restart
  export ALLOT_SERVER=http://$(field scheduler http)
  gateway_yaml() { printf "name: gw\nstate_dir: gateway\nscheduler: %s\nscheduler_public_key: '%s'\nkey_file: gateway.key\nallow_file: allow.yaml\nlocal: true\nlisten: %s\nhttp_listen: %s\n" "$endpoint" "$key" "$1" "$2" >gateway.yaml; }
  gateway_yaml tcp://127.0.0.1:0 127.0.0.1:0
  start gateway "$gateway/allot-gateway" gateway
  gateway_yaml "$(field gateway endpoint)" "$(field gateway http)"
  for name in n1 n2; do
    printf "name: %s\nstate_dir: %s\nscheduler: %s\nscheduler_public_key: '%s'\nkey_file: %s.key\naddress: 127.0.0.1\nhttp_listen: 127.0.0.1:0\ndevices: {cpu: false, nvidia: false, emulated: [{model: nvidia/l4, count: 3}]}\noffer: {cpus: \"4\", memory: 1GiB}\nisolation: {cgroups: false}\n" \
      $name $name "$endpoint" "$key" $name >$name.yaml
    start $name "$agent/allot-agent" $name
  done
  until_true alive 2

  # A job, and its log.
  local size=(--cpus 0.1 --memory 8MiB) one gang
  one=$("$client" submit "${size[@]}" -- /bin/sh -c 'echo out; exit 4')
  until_true ended "$one"
  [ "$(job "$one" .job.code)" = 4 ] || fail "the job's code is $(job "$one" .job.code)"
  until_true log_is "$one" out
  # A gang over both nodes (of three devices each), which waits at a gate.
  gang=$("$client" submit "${size[@]}" --tasks 2 --device kind=GPU,count=2 -- /bin/sh -c "echo begun; while [ ! -e $work/gate ]; do sleep 0.05; done; echo through")
  until_true runs_at "$gang" 2
  local processes=$(pids_of "$gang")
  # A stream through the gateway.
  jq -n --arg server "$server" '{name: "talk", command: ["/usr/bin/perl", "-MIO::Socket::INET", "-e", $server, "{port}"],
    resources: {cpus: "0.1", memory: "8MiB"}, replicas: [{device: {model: "nvidia/l4"}}]}' >talk.yaml
  "$client" deploy talk.yaml --wait --timeout 60s >deploy.log 2>&1 || fail "the deployment does not get ready: $(cat deploy.log)"
  until_true streams
  until_true log_is "$gang" begun
  # kill -9 of each, one after the other; all of it goes on.
  for name in n1 gateway scheduler; do
    kill_hard $name
    case $name in n1) start n1 "$agent/allot-agent" n1 ;; gateway) start gateway "$gateway/allot-gateway" gateway ;; *) start scheduler "$scheduler/allot-scheduler" scheduler ;; esac
    until_true alive 2
    until_true runs_at "$gang" 2
    until_true streams
    [ "$(pids_of "$gang")" = "$processes" ] && [ "$(job "$gang" .job.attempt)" = 1 ] || fail "the gang did not survive kill -9 of $name"
  done
  # Upgraded, on what the old build has written.
  if [ "$agent" = "$old" ]; then
    kill_hard n1
    start n1 "$new/allot-agent" n1
    until_true alive 2
    until_true runs_at "$gang" 2
  fi
  if [ "$scheduler" = "$old" ]; then
    kill_hard scheduler
    start scheduler "$new/allot-scheduler" scheduler
    until_true alive 2
    until_true runs_at "$gang" 2
  fi
  [ "$(pids_of "$gang")" = "$processes" ] && [ "$(job "$gang" .job.attempt)" = 1 ] || fail "the gang did not survive the upgrade"
  touch gate
  until_true ended "$gang"
  [ "$(job "$gang" .job.code)" = 0 ] || fail "the gang's code is $(job "$gang" .job.code)"
  until_true log_is "$gang" $'begun\nthrough'
  [ "$(job "$one" .job.code)" = 4 ] || fail "the first job is not what it was"
  until_true streams
  # What each thinks of the others: nothing it could not read.
  for name in scheduler gateway n1 n2; do
    if grep -E ' [EC] allot-' $name.log | grep -vE 'no link|lost|silent' | grep .; then fail "$name has logged an error"; fi
  done
  end_all
  cd "$root"
  rm -rf "$work"
  echo "ok $1"
}
for combination in "${combinations[@]}"; do
  [[ $combination =~ ^[no]{4}$ ]] || { echo "mixed.sh: '$combination' is no combination" >&2; exit 2; }
  run "$combination"
done
echo "ok: ${#combinations[@]} combinations"
