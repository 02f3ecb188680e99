#!/usr/bin/env bash
# A real Prometheus against a live local cluster: every query of dashboards/fleet.json must return data.
#   dashboard_test.sh SOURCE_DIR BIN_DIR
set -euo pipefail
source=$1 bin=$2
command -v prometheus >/dev/null || { echo "prometheus is not installed; scripts/deps.sh --test installs it" >&2; exit 1; }
work=$(mktemp -d)
prometheus_pid=
cleanup() {
  [ -n "$prometheus_pid" ] && kill "$prometheus_pid" 2>/dev/null && wait "$prometheus_pid" 2>/dev/null
  "$bin/allot" local down --dir "$work/cluster" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

# until COMMAND…: again and again until it succeeds, a minute and a half at most.
until_true() {
  local end=$((SECONDS + 90))
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "never came true: $*" >&2; return 1; }
    read -rt 0.2 <>"$work/never" || true
  done
}
mkfifo "$work/never"

"$bin/allot" local up --dir "$work/cluster"
address() { sed -n "s/^$1: *[\"']\?\([^\"']*\)[\"']\?$/\1/p" "$work/cluster/scheduler/addresses.yaml"; }
environment=$("$bin/allot" local env --dir "$work/cluster")
eval "$environment"
gateway=http://$(address gateway_http)

# Something of everything: a job that runs, one that waits, one that failed, a deployment, requests.
cat >"$work/deployment.yaml" <<Y
name: tiny
command: ["$bin/tiny_server", "{port}"]
resources: {cpus: 0.1, memory: 32MiB}
replicas:
  - {device: {kind: CPU}, count: 1}
  - {device: {kind: GPU, count: 1}, count: 1}
  - {device: {kind: ASIC, count: 1}, count: 1}
objective: {end_to_end: 5s, percentile: 0.95}
Y
# Watts for whatever devices this machine offers, and a cap that they stay below.
cat >"$work/policy.yaml" <<Y
name: capped
prices: {as_of: "2026-05-18", devices: [{model: "*", price_usd_per_hour: 1, watts: 100}]}
power: {cluster_watts: 100000}
Y
"$bin/allot" policy apply "$work/policy.yaml" >/dev/null
"$bin/allot" submit --cpus 0.1 -- sleep 300 >/dev/null
"$bin/allot" submit --cpus 0.1 -- false >/dev/null
"$bin/allot" deploy "$work/deployment.yaml" --wait
# One GPU is left: one of these runs, the other waits.
"$bin/allot" submit --cpus 0.1 --device kind=GPU,count=1 -- sleep 300 >/dev/null
"$bin/allot" submit --cpus 0.1 --device kind=GPU,count=1 -- sleep 300 >/dev/null

# What people see of power: leased under the cap, and the cap in the policy.
"$bin/allot" power | grep -Eq '^cluster .* 100kW'
"$bin/allot" policy show | grep -q 'cluster 100kW'
"$bin/allot" top | grep -q '^power .* leased of 100kW'

sed -e "s|http://127.0.0.1:7401|$ALLOT_SERVER|" -e 's/: [0-9]*s$/: 1s/' \
  -e "s|# authorization: {type: Bearer, credentials_file: .*}|authorization: {type: Bearer, credentials_file: $work/cluster/keys/owner.token}|" "$source/dashboards/prometheus.yml" >"$work/prometheus.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" --web.listen-address=127.0.0.1:0 >"$work/prometheus.log" 2>&1 &
prometheus_pid=$!
listening() { prometheus_at=http://$(sed -n 's/.*"Listening on" address=//p' "$work/prometheus.log"); [ "$prometheus_at" != http:// ]; }
until_true listening

# All five programs are found through the scheduler and answer.
targets_up() {
  [ "$(curl -fs "$prometheus_at/api/v1/targets?state=active" | jq '[.data.activeTargets[] | select(.health == "up")] | length')" -ge 5 ]
}
until_true targets_up
echo "ok targets: $(curl -fs "$prometheus_at/api/v1/targets?state=active" | jq -r '[.data.activeTargets[].scrapeUrl] | sort | join(" ")')"

# Requests while Prometheus looks on, so that rates have something to show.
"$bin/allot" load --gateway "$gateway" --model tiny --requests 200 --concurrency 4 --stream-ratio 0.5 >/dev/null
more_load() { "$bin/allot" load --gateway "$gateway" --model tiny --requests 20 --concurrency 2 --stream-ratio 0.5 >/dev/null &&
  "$bin/allot" submit --cpus 1 --device kind=CPU -- sleep 0.1 >/dev/null && "$bin/allot" submit --cpus 0.1 --device kind=ASIC,count=1 -- sleep 0.1 >/dev/null; }

has_data() {
  more_load
  # What Grafana fills in: a window of four scrapes and more.
  local query=${1//\$__rate_interval/30s}
  curl -fs --data-urlencode "query=$query" "$prometheus_at/api/v1/query" |
    jq -e '[.data.result[].value[1] | select(. != "NaN")] | length > 0' >/dev/null
}
queries=0
while IFS= read -r query; do
  until_true has_data "$query" || { echo "no data: $query" >&2; exit 1; }
  queries=$((queries + 1))
done < <(jq -r '.panels[].targets[]?.expr' "$source/dashboards/fleet.json")
[ "$queries" -ge 20 ]
echo "ok $queries dashboard queries return data"
curl -fs --data-urlencode 'query=count by (emulated) (allotrope_devices)' "$prometheus_at/api/v1/query" | jq -e '[.data.result[].metric.emulated] | sort == ["false", "true"]' >/dev/null
echo "ok emulated devices are told apart"
