#!/usr/bin/env bash
# docs/deploy.md, word by word, on machines of its own: a head, three nodes, a gateway.
#   journey_test.sh SOURCE_DIR BIN_DIR
# What the page shows in blocks "```sh MACHINE…" is run there, in its order. Three things are done as a
# person does them: the line that `add` prints is run on that machine in place of INVITATION, what is said
# to be started is started (no systemd runs here), and token files are brought to the machine that uses them.
# Afterwards: what the page promises.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/machines.sh"
own_world "$@"
source=$1 bin=$2
export PATH=$bin:$PATH
work=$machines_at
bridge
mkfifo "$machines_at/never"
trap 'status=$?; [ $status -eq 0 ] || tail -n 15 "$work"/*.log >&2; kill $(jobs -p) 2>/dev/null; umount -l "$work"; exit $status' EXIT

machine head 10.77.0.1
machine node-1 10.77.0.11
machine node-2 10.77.0.12
machine node-3 10.77.0.13
machine gw-1 10.77.0.21

fail() { echo "$*" >&2; exit 1; }
# The blocks as lines "MACHINES<TAB>COMMAND".
blocks() {
  awk '/^```sh ./ {who=substr($0, 7); inside=1; next} /^```/ {inside=0} inside && NF {print who "\t" $0}' "$source/docs/deploy.md"
}
declare -A invitation=()
# On a machine, in one shell per block, so that `export` holds. Standard output is kept.
run() {
  local name=$1 text=$2
  echo "$name# $text"
  on "$name" bash -c "cd /srv && [ ! -f env ] || . ./env; set -e; $text" >"$work/out" || fail "on $name: $text"
  case "$text" in export\ *) echo "$text" >>"$work/$name/home/env" ;; esac
  local start
  start=$(sed -n 's/^start it *//p' "$work/out")
  if [ -n "$start" ]; then echo "$name# $start &"; spawn "$name" "$work/$name.log" $start; fi
}
awaits_api() { on head curl -fs --cacert /etc/allotrope/ca.crt -o "$work/health" https://127.0.0.1:7401/healthz; }
alive() { on head allot nodes --json | jq -e --argjson n "$1" '[.nodes[] | select(.alive)] | length == $n' >/dev/null; }

began=$(date +%s%N)
while IFS=$'\t' read -r who text; do
  for name in $who; do
    words=$text
    case "$text" in
      *" add "*) [[ $text == *user* ]] || to=${text##* } ;;
      *INVITATION*) words=${invitation[$name]}${text##*INVITATION}
        [ ! -e "$work/head/home/$name.pem" ] || cp "$work/head/home/$name.pem" "$work/$name/home/" ;;
      *gw-1:7411*) cp "$work"/head/home/*.token "$work/gw-1/home/"; until_true on gw-1 bash -c "${text/-fsS/-fs -o /dev/null}" ;;
      *" nodes") until_true alive 3 ;;
      *--token-file*) cp "$work"/head/home/*.token "$work/$name/home/" ;;
    esac
    run "$name" "$words"
    case "$text" in
      "allot cluster init"*) until_true awaits_api ;;
      "allot node add"*|"allot gateway add"*) invitation[$to]=$(cat "$work/out")
        [[ ${invitation[$to]} =~ ^allot\ (node|gateway)\ join\ allot1\.[A-Za-z0-9_-]+$ ]] || fail "not one line to run: ${invitation[$to]}" ;;
    esac
  done
done < <(blocks)
took=$((($(date +%s%N) - began) / 1000000))
echo "the journey took ${took} ms of machine time"

# No secret lies open, and what was printed is not good a second time.
for name in node-1 node-2 node-3; do
  for file in etc/allotrope/agent.yaml lib/allotrope/agent/agent.key; do
    [ "$(stat -c %a "$work/$name/$file")" = 600 ] || fail "$name:$file can be read by others"
  done
done
for file in etc/allotrope/admin.token etc/allotrope/ca.key lib/allotrope/scheduler/tls.pem lib/allotrope/scheduler/scheduler.key lib/allotrope/scheduler/tokens.yaml; do
  [ "$(stat -c %a "$work/head/$file")" = 600 ] || fail "head:$file can be read by others"
done
on gw-1 bash -c "ALLOT_DIR=/srv/thief ${invitation[node-1]}" >"$work/out" 2>&1 && fail "a used invitation let another machine in"
grep -q 'make another with `allot node add node-1`' "$work/out" || fail "$(cat "$work/out")"
[ ! -e "$work/gw-1/home/thief/agent.yaml" ] && [ ! -e "$work/gw-1/home/thief/state/agent/agent.key" ] || fail "a refused join left files"
# Who has joined may say so again.
on node-1 bash -c "${invitation[node-1]}" | grep -q 'had joined already' || fail "joining again is not fine"
# init again keeps what is there.
key=$(on head sha256sum /var/lib/allotrope/scheduler/scheduler.key /etc/allotrope/admin.token /etc/allotrope/ca.key)
on head allot cluster init >"$work/out"
[ "$key" = "$(on head sha256sum /var/lib/allotrope/scheduler/scheduler.key /etc/allotrope/admin.token /etc/allotrope/ca.key)" ] || fail "init again made other keys"

# Everything that is told can be reached from another machine: each target answers, none is a wildcard or loopback.
token=$(cat "$work/head/home/prometheus.token")
ca="--cacert /etc/allotrope/ca.crt"
on node-3 curl -fsS $ca -H "Authorization: Bearer $token" https://head:7401/v1/sd/prometheus >"$work/targets"
[ "$(jq length "$work/targets")" -eq 6 ] || fail "targets: $(cat "$work/targets")"
for target in $(jq -r '.[] | (.labels.__scheme__ // "http") + "://" + .targets[]' "$work/targets"); do
  host=${target#*://}
  case "$host" in 0.0.0.0:*|127.*|\[::*) fail "told to others: $target" ;; esac
  on node-3 curl -fsS $ca -o "$work/out" -H "Authorization: Bearer $token" "$target/metrics" || fail "cannot scrape $target"
  grep -q '^allotrope_build_info{' "$work/out" || fail "$target has no allotrope_build_info"
done
on head allot nodes --json >"$work/out"
[ "$(jq -r '[.nodes[].address] | sort | join(" ")' "$work/out")" = "10.77.0.11 10.77.0.12 10.77.0.13" ] || fail "$(cat "$work/out")"
on node-2 curl -fsS $ca -H "Authorization: Bearer $token" https://head:7401/v1/cluster >"$work/out"
[ "$(jq -r '[.gateways[].http_address] | sort | join(" ")' "$work/out")" = "https://10.77.0.1:7411 https://10.77.0.21:7411" ] || fail "$(cat "$work/out")"

# Nothing of it is plain HTTP, a token is not even sent there, and who does not know the authority is told what to do.
plain() { on node-1 env ALLOT_SERVER=http://head:7401 allot --token-file /srv/ada.token jobs 2>&1; }
cp "$work/head/home/ada.token" "$work/node-1/home/"
[[ $(plain) == *"no token is sent to http://head:7401"* ]] || fail "a token went out in the clear: $(plain)"
stranger() { on node-1 env ALLOT_SERVER=https://head:7401 ALLOT_CA=/etc/ssl/certs/ca-certificates.crt allot --token-file /srv/ada.token jobs 2>&1; }
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || [[ $(stranger) == *"ca.crt"* ]] || fail "$(stranger)"
on node-1 env ALLOT_SERVER=https://head:7401 allot --token-file /srv/ada.token jobs >"$work/out" || fail "$(cat "$work/out")"
# Renewed, the certificate is another at once, for one more name.
shown() { on node-1 curl -s $ca -o /dev/null -w '%{certs}' https://head:7401/healthz | sha256sum; }
before=$(shown)
on head allot cluster renew head.lab.example >"$work/out"
grep -q 'head.lab.example' "$work/out" || fail "$(cat "$work/out")"
[ "$(shown)" != "$before" ] || fail "the renewed certificate is not shown"

# A user that is removed on the head is refused at the gateway of its own, a node is lost.
models() { on gw-1 curl -s $ca -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(cat "$work/head/home/ada.token")" https://gw-1:7411/v1/models; }
[ "$(models)" = 200 ] || fail "ada is not known at gw-1"
on head allot user remove ada >"$work/out"
refused() { [ "$(models)" = 401 ]; }
until_true refused
on head allot node remove node-3 >"$work/out"
until_true alive 2

# Another address of a node is told, and what starts later is told the new one.
on node-2 ip addr add 10.77.0.112/24 dev eth0
on node-2 ip addr del 10.77.0.12/24 dev eth0
on node-2 ip addr add 10.77.0.112/24 dev eth0 2>/dev/null || true
machine_address[node-2]=10.77.0.112 && hosts
moved() { on head allot nodes --json | jq -e '.nodes[] | select(.name == "node-2") | .alive and .address == "10.77.0.112"' >/dev/null; }
until_true moved

# The head moves: its files to another machine. One node has it in a list, the gateway by a name that points there now.
stop() { # MACHINE PROGRAM
  local pid
  pid=$(on "$1" sed -n 's/^pid: //p' "/var/lib/allotrope/$2/addresses.yaml")
  on "$1" kill "$pid"
  gone() { ! on "$1" kill -0 "$2" 2>/dev/null; }
  until_true gone "$1" "$pid"
}
sed -i 's|^scheduler: .*|scheduler: [head:7400, "tcp://10.77.0.2:7400"]|' "$work/node-1/etc/allotrope/agent.yaml"
sed -i 's|^scheduler: .*|scheduler: head:7400|' "$work/gw-1/etc/allotrope/gateway.yaml"
machine_address[head]=10.77.0.1
stop node-1 agent && spawn node-1 "$work/node-1.log" allot-agent --config /etc/allotrope/agent.yaml
stop gw-1 gateway && spawn gw-1 "$work/gw-1.log" allot-gateway --config /etc/allotrope/gateway.yaml
up() { on "$1" allot nodes --json | jq -e --arg n "$2" '.nodes[] | select(.name == $n) | .alive' >/dev/null; }
until_true up head node-1
job=$(on head allot submit --memory 64MiB --cpus 0.1 -- sleep 600)
running() { on "$1" allot job "$job" --json | jq -e '.job.phase == "running"' >/dev/null; }
until_true running head
stop head scheduler
machine head-2 10.77.0.2
cp -a "$work/head/etc/allotrope" "$work/head-2/etc/"
mkdir -p "$work/head-2/lib/allotrope" && cp -a "$work/head/lib/allotrope/scheduler" "$work/head-2/lib/allotrope/"
sed -i 's/10\.77\.0\.1:/10.77.0.2:/g' "$work"/head-2/etc/allotrope/*.yaml
machine_address[head]=10.77.0.2 && hosts
on head-2 allot cluster renew 10.77.0.2 >"$work/out"
spawn head-2 "$work/head-2.log" allot-scheduler --config /etc/allotrope/scheduler.yaml
until_true up head-2 node-1
until_true running head-2
gateways() { on head-2 curl -fs $ca -H "Authorization: Bearer $(cat "$work/head/etc/allotrope/admin.token")" https://127.0.0.1:7401/v1/cluster | jq -e '[.gateways[].name] | sort == ["gateway", "gw-1"]' >/dev/null; }
until_true gateways
on head-2 allot cancel "$job" >"$work/out"
echo "the journey holds"
