#!/usr/bin/env bash
# What a command costs to start, and submissions from a shell loop, beside Debian's Slurm if it is here.
#   scripts/bench-submit.sh [--runs N] [--jobs N] [--bin FOLDER] [--no-slurm]
# Start-up: median of N runs (default 200) of `/bin/true`, `allot version` and `sbatch --version`.
# Submissions: N jobs (default 300) that do nothing, one after the other and by eight shells at once,
# each a process of its own as in a user's script. Slurm (apt-get install slurmctld slurmd slurm-client
# munge) runs one node on loopback, as root, from a folder that is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=200 jobs=300 bin=build/release/bin slurm=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --runs) runs=${2:?--runs needs a number}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    --bin) bin=${2:?--bin needs a folder}; shift ;;
    --no-slurm) slurm='' ;;
    -h|--help) sed -n '2,7s/^# \?//p' "$0"; exit 0 ;;
    *) echo "bench-submit.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
  shift
done
bin=$(realpath "$bin")
[ -x "$bin/allot" ] || { echo "bench-submit.sh: $bin/allot is missing; scripts/build.sh builds it" >&2; exit 2; }
for program in slurmctld slurmd munged sbatch; do
  command -v "$program" >/dev/null || PATH=$PATH:/usr/sbin
  command -v "$program" >/dev/null || slurm=''
done
work=$(mktemp -d)
finish() {
  "$bin/allot" local down --dir "$work/allot" >/dev/null 2>&1 || true
  for pid in "$work"/*.pid; do [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true; done
  sleep 1  # They write their state once more.
  rm -rf "$work"
}
trap finish EXIT

# Milliseconds of one run, the median of $runs.
median() {
  local times=() start i
  for ((i = 0; i < runs; ++i)); do
    start=${EPOCHREALTIME/./}
    "$@" >/dev/null
    times+=($((${EPOCHREALTIME/./} - start)))
  done
  printf '%s\n' "${times[@]}" | sort -n | awk '{ t[NR] = $1 } END { printf "%.2f (%.2f–%.2f)", t[int((NR + 1) / 2)] / 1000, t[1] / 1000, t[int(NR * 0.9)] / 1000 }'
}
# Submissions a second: all by one shell, or by eight.
rate() {
  local shells=$1 each start pids=() i
  shift
  each=$((jobs / shells))
  start=${EPOCHREALTIME/./}
  for ((i = 0; i < shells; ++i)); do
    (for ((k = 0; k < each; ++k)); do "$@" >/dev/null || exit 1; done) &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  awk -v n=$((each * shells)) -v t=$((${EPOCHREALTIME/./} - start)) 'BEGIN { printf "%.0f", n * 1e6 / t }'
}

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1); load $(cut -d' ' -f1 /proc/loadavg)"
echo "start-up in ms, median (least–90th percentile) of $runs:"
echo "  /bin/true          $(median /bin/true)"
echo "  allot version      $(median "$bin/allot" version)"

"$bin/allot" local up --dir "$work/allot" --agents host >/dev/null 2>&1
environment=$("$bin/allot" local env --dir "$work/allot")
eval "$environment"
ours() { "$bin/allot" submit --runtime noop; }

if [ "$slurm" ]; then
  mkdir -p "$work"/{munge,ctld,d}
  chmod 0700 "$work/munge"
  (umask 077; head -c 1024 /dev/urandom >"$work/munge/key")
  munged --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge.pid" \
    --log-file="$work/munge/log" --seed-file="$work/munge/seed"
  port=$((20000 + RANDOM % 20000)) host=$(hostname -s)
  cat >"$work/slurm.conf" <<CONF
ClusterName=bench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
StateSaveLocation=$work/ctld
SlurmdSpoolDir=$work/d
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/ctld/log
SlurmdLogFile=$work/d/log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
MaxJobCount=1000000
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES State=UP
CONF
  export SLURM_CONF=$work/slurm.conf
  slurmctld && slurmd
  for ((i = 0; i < 100; ++i)); do sinfo -h -o %t 2>/dev/null | grep -q idle && break; sleep 0.1; done
  # Held, so that it does not start them beside us: only the submission is asked for.
  theirs() { sbatch --hold --quiet -o /dev/null --wrap true; }
fi
if [ "$slurm" ]; then echo "  sbatch --version   $(median sbatch --version)"; fi
echo "submissions a second, $jobs jobs:"
for shells in 1 8; do
  line="  $shells at once  allot $(rate $shells ours)"
  if [ "$slurm" ]; then line+="  sbatch $(rate $shells theirs)"; fi
  echo "$line"
done
