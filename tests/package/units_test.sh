#!/bin/bash
# The units as systemd reads them, and what may stand in the agent's.
#   units_test.sh BUILD
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
cmake --install "$build" --prefix "$work/usr" >/dev/null
units=$work/usr/lib/systemd/system

# Programs and settings exist: nothing is said.
said=$(systemd-analyze verify --man=no "$units"/allot-*.service 2>&1) || fail "systemd-analyze verify: $said"
[ -z "$said" ] || fail "systemd-analyze verify: $said"
# A unit that names a program that is not there is found out, so silence means something.
sed 's/allot-gateway --config/allot-nothing --config/' "$units/allot-gateway.service" >"$work/broken.service"
if systemd-analyze verify --man=no "$work/broken.service" >/dev/null 2>&1; then fail "systemd-analyze verify finds nothing wrong with a broken unit"; fi

# Tenths of the exposure that systemd sums up; 1.2 of 10 is what listening on the network leaves.
for unit in scheduler gateway; do
  said=$(systemd-analyze security --offline=yes --threshold=13 --no-pager "$units/allot-$unit.service" 2>&1) || fail "allot-$unit is too exposed: $said"
done

# The agent's unit: each directive is one of the table's, with the reason why no task inherits it or why it should.
check_agent() {
  awk -v table="$here/agent_directives.tsv" '
    BEGIN { FS = "\t"; while ((getline <table) > 0) if ($0 !~ /^#/) allowed[$1 "." $2] = $3 }
    /^(#|$)/ { next }
    /^\[/ { section = substr($0, 2, length($0) - 2); next }
    {
      name = $0; sub(/=.*/, "", name); value = $0; sub(/^[^=]*=/, "", value)
      key = section "." name
      if (!(key in allowed)) { print "allot-agent.service: " name " in [" section "] is not in agent_directives.tsv: would tasks inherit it?"; bad = 1; next }
      if (allowed[key] != "*" && allowed[key] != value) { print "allot-agent.service: " name "=" value ", and must be " allowed[key]; bad = 1 }
      seen[key] = 1
    }
    END {
      for (key in allowed) if (allowed[key] != "*" && !(key in seen)) { print "allot-agent.service lacks " key "=" allowed[key]; bad = 1 }
      exit bad
    }' "$1"
}
check_agent "$units/allot-agent.service" || fail "the unit of the agent"
# The check itself: a sandbox, a limit, another value, a directive that is gone.
refused() {
  sed "$1" "$units/allot-agent.service" >"$work/refused.service"
  cmp -s "$work/refused.service" "$units/allot-agent.service" && fail "'$1' changes nothing"
  if check_agent "$work/refused.service" >/dev/null; then fail "'$1' in the unit of the agent would not be noticed"; fi
}
refused 's/^KillMode=.*/&\nPrivateTmp=yes/'
refused 's/^KillMode=.*/&\nLimitNOFILE=1024/'
refused 's/^KillMode=.*/KillMode=control-group/'
refused '/^Delegate=/d'
echo "ok"
