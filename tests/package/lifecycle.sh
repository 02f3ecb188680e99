#!/bin/bash
# The life of the packages on one machine: installed, a cluster run by the examples, upgraded under work, removed, purged.
#   lifecycle.sh OLD_DEBS NEW_DEBS     as root, in a root of its own (in_copy.sh, clean_root.sh), never on a machine that is used
# systemctl is the stand-in beside this file. Everything waits for what it waits for, up to two minutes.
set -euo pipefail
old=$1 new=$2
[ -e /etc/allotrope-test-root ] || { echo "lifecycle.sh: this is not a root made for it" >&2; exit 2; }
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
# Work runs as users of its own, who must find what it is given here, and has a /tmp to itself.
allot=/usr/bin/allot state=/var/lib/allotrope work=/srv/lifecycle
mkdir -p "$work"
say() { echo "== $*"; }
fail() {
  echo "FAILED: $*" >&2
  tail -n 25 "$work"/*.log /run/stand-in/*.log >&2 2>/dev/null || true
  exit 1
}
trap 'fail "line $LINENO"' ERR
until_true() {
  local end=$((SECONDS + 120))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    read -rt 0.1 <>"$work/never" || true
  done
}
mkfifo "$work/never"
apt_or_dpkg() { if [ -e /etc/allotrope-test-root/apt ]; then apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "$@"; else dpkg -i "$@"; fi; }
install_all() { apt_or_dpkg "$1"/*.deb >>"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; fail "installing $1"; }; }
main_pid() { systemctl show -p MainPID "$1.service" 2>/dev/null | sed 's/MainPID=//'; }
runs() { [ -d "/proc/$1" ] && ! grep -qs '^State:.Z' "/proc/$1/status"; }
json() { "$allot" "$@" --json; }
job() { json job "$1" | jq -r "$2"; }
ended() { [ "$(job "$1" .job.phase)" = finished ]; }
task_runs() { [ "$(job "$1" '[.job.tasks[] | select(.phase == "running")] | length')" = "$2" ]; }
task_pid() { job "$1" '.job.tasks[0].pid'; }
node_alive() { json nodes | jq -e '[.nodes[] | select(.alive)] | length == 1'; }
answers() { curl -fsS -m 5 -H "Authorization: Bearer $ALLOT_TOKEN" -H 'Content-Type: application/json' -d '{"model": "talk", "prompt": "x"}' http://127.0.0.1:7411/v1/completions; }
# The commands in the head of an example, as it stands.
by_example() { (cd "/usr/share/doc/allotrope-$1/examples" && sed -n 's/^#   //p' "$1.yaml" >"$work/by-example" && bash -euo pipefail "$work/by-example"); }

say "installed: what is there"
dpkg-query -W -f '${Package}\n' | grep -q '^allotrope' && fail "there is an allotrope here already"
install_all "$old"
getent passwd allotrope >/dev/null || fail "no user allotrope"
for program in scheduler gateway agent; do
  systemctl is-enabled "allot-$program.service" >/dev/null 2>&1 || fail "allot-$program is not enabled"
  systemctl is-active "allot-$program.service" >/dev/null 2>&1 && fail "allot-$program runs without a config"
done
grep -q . /run/stand-in/calls || fail "the maintainer scripts did not call systemctl"

say "a cluster by the examples"
by_example scheduler >"$work/token"
export ALLOT_TOKEN=$(grep -oE '[A-Za-z0-9_-]{30,}' "$work/token" | tail -n 1)
systemctl start allot-scheduler.service
until_true json nodes
ready=$(main_pid allot-scheduler)
[ "$(stat -c %U "/proc/$ready")" = allotrope ] || fail "the scheduler does not run as allotrope"
by_example agent >/dev/null
systemctl start allot-agent.service
until_true node_alive
[ "$(stat -c %U "/proc/$(main_pid allot-agent)")" = root ] || fail "the agent does not run as root"
# The gateway on its own, as its example says: the scheduler has none inside then.
sed -i '/^gateway:/,/^logging/{/^logging/!d}' /etc/allotrope/scheduler.yaml
by_example gateway >/dev/null
systemctl restart allot-scheduler.service
systemctl start allot-gateway.service
until_true node_alive

say "work of every kind"
gate=$work/gate
mkfifo "$gate" && chmod 0666 "$gate"
before=$("$allot" submit --name before --cpus 0.1 --memory 16MiB --wait -- /bin/echo from before | tail -n 1)
long=$("$allot" submit --name long --cpus 0.1 --memory 16MiB -- /bin/sh -c "echo begun; read x <$gate; echo through; exit 7")
gang=$("$allot" submit --name gang --tasks 2 --cpus 0.1 --memory 16MiB -- /usr/bin/tail -f /dev/null)
until_true task_runs "$long" 1
until_true task_runs "$gang" 2
cat >"$work/talk.yaml" <<'YAML'
name: talk
command: ["/usr/bin/perl", "-MIO::Socket::INET", "-e", "$s = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], ReuseAddr => 1) or die; while ($c = $s->accept) { $n = 0; while (<$c>) { $n = $1 if /^content-length: *(\\d+)/i; last if /^\\r?$/ } read $c, $b, $n; print $c \"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 13\\r\\nConnection: close\\r\\n\\r\\n{\\\"choices\\\":1}\"; close $c }", "{port}"]
resources: {cpus: "0.1", memory: 16MiB}
replicas: [{device: {kind: CPU}, count: 1}]
YAML
"$allot" deploy "$work/talk.yaml" --wait --timeout 120s >/dev/null || fail "the deployment does not get ready"
until_true answers
replica_pid=$(json deployments | jq -r '.deployments[0].replicas[0].pid')
long_pid=$(task_pid "$long") gang_pid=$(task_pid "$gang")
declare -A pid_before
for program in scheduler gateway agent; do pid_before[$program]=$(main_pid "allot-$program"); done

say "upgraded under work"
# Jobs come all the while; each writes its number when it completes.
: >"$work/acknowledged"; : >"$work/completed"; chmod 0666 "$work/completed"
submit_all() {
  local i id
  for ((i = 0; i < 25; ++i)); do
    until id=$("$allot" submit --idempotency-key "short-$i" --cpus 0.1 --memory 16MiB -- /bin/sh -c "echo \$ALLOT_JOB_ID >>$work/completed" 2>>"$work/submit.log"); do
      read -rt 0.2 <>"$work/never" || true
    done
    echo "$id" >>"$work/acknowledged"
  done
}
submit_all &
submitter=$!
until_true test -s "$work/acknowledged"
install_all "$new"
wait "$submitter" || fail "submitting failed"
for program in scheduler gateway agent; do
  pid=$(main_pid "allot-$program")
  [ "$pid" != "${pid_before[$program]}" ] && runs "$pid" || fail "allot-$program was not restarted"
  case "$(readlink "/proc/$pid/exe")" in *deleted*) fail "allot-$program still runs the old build" ;; esac
done
until_true node_alive
[ "$(sort -u "$work/acknowledged" | wc -l)" = 25 ] || fail "not every submission has a job of its own"
while read -r id; do until_true ended "$id"; done <"$work/acknowledged"
diff <(sort "$work/acknowledged") <(sort "$work/completed") >&2 || fail "what was acknowledged and what completed differ"
[ "$(task_pid "$long")" = "$long_pid" ] && runs "$long_pid" || fail "the long job's process changed"
[ "$(task_pid "$gang")" = "$gang_pid" ] && runs "$gang_pid" || fail "the gang's process changed"
[ "$(job "$gang" .job.attempt)" = 1 ] || fail "the gang was started again"
[ "$(json deployments | jq -r '.deployments[0].replicas[0].pid')" = "$replica_pid" ] && runs "$replica_pid" || fail "the replica changed"
until_true answers
# A supervisor of the old build tells the new agent how its task ended.
echo go >"$gate"
until_true ended "$long"
[ "$(job "$long" .job.code)" = 7 ] || fail "the long job ended otherwise than with 7"
[ "$("$allot" logs "$long")" = $'begun\nthrough' ] || fail "the long job's log: $("$allot" logs "$long")"
[ "$("$allot" logs "$before")" = "from before" ] || fail "the log of a job from before the upgrade is not there"

say "the agent removed and installed again: its work runs on"
dpkg -r allotrope-agent >"$work/remove.log" 2>&1
grep -q 'may run on' "$work/remove.log" || fail "the removal does not tell of running work"
[ "$(main_pid allot-agent)" = 0 ] || fail "the agent still runs"
[ ! -e /usr/bin/allot-agent ] && [ -e /etc/allotrope/agent.yaml ] && [ -d $state/agent/processes ] || fail "removed too much or too little"
runs "$gang_pid" && runs "$replica_pid" || fail "removing the agent ended its work"
apt_or_dpkg "$new"/allotrope-agent_*.deb >>"$work/dpkg.log" 2>&1
until_true node_alive
until_true task_runs "$gang" 2
[ "$(task_pid "$gang")" = "$gang_pid" ] && [ "$(job "$gang" .job.attempt)" = 1 ] || fail "the agent that came back did not take the gang over"

say "removed"
for package in $(dpkg-query -W -f '${Package}\n' 'allotrope-*'); do dpkg -L "$package"; done | sort -u >"$work/files"
mkdir -p $state/checkpoints/job-1 && touch $state/checkpoints/job-1/saved
dpkg -r allotrope-scheduler allotrope-gateway allotrope-agent allotrope-client >>"$work/remove.log" 2>&1
while read -r file; do if [ -f "$file" ]; then fail "$file is left"; fi; done <"$work/files"
for program in scheduler gateway agent; do [ "$(main_pid "allot-$program")" = 0 ] || fail "allot-$program still runs"; done
[ -e $state/scheduler/scheduler.db ] && [ -e /etc/allotrope/scheduler.yaml ] || fail "removing took data or config along"
runs "$gang_pid" || fail "removing ended the gang"

say "purged"
dpkg -P allotrope-scheduler allotrope-gateway allotrope-agent allotrope-client >>"$work/remove.log" 2>&1
[ ! -e $state/scheduler ] && [ ! -e $state/gateway ] && [ ! -e $state/agent ] && [ ! -e /etc/allotrope ] || fail "left after the purge: $(find $state /etc/allotrope)"
[ -e $state/checkpoints/job-1/saved ] || fail "the purge took what jobs had saved"
until_true sh -c "! kill -0 $gang_pid 2>/dev/null && ! kill -0 $replica_pid 2>/dev/null"
find /etc/systemd /var/lib/systemd -name '*allot*' 2>/dev/null | grep . >&2 && fail "units are left"
say "ok (systemctl was a stand-in; dependencies by $([ -e /etc/allotrope-test-root/apt ] && echo apt || echo dpkg))"
