#!/bin/bash
# cmake --install into a folder that is nobody's prefix: everything is there, finds what it needs from where it stands, and the examples start.
#   install_test.sh BUILD
set -euo pipefail
build=$1
work=$(mktemp -d)
chmod 0711 "$work"  # work runs as users of its own, whose folders are below
pids=()
trap 'code=$?; for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$work"; exit $code' EXIT
fail() { echo "FAILED: $*" >&2; tail -n 20 "$work"/*.log >&2 2>/dev/null || true; exit 1; }
trap 'fail "line $LINENO"' ERR
mkfifo "$work/never"
until_true() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "never came true: $*"
    read -rt 0.05 <>"$work/never" || true
  done
}
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" >"$work/install.out" || fail "cmake --install"
for file in bin/allot bin/allot-sim bin/allot-scheduler bin/allot-gateway bin/allot-agent libexec/allotrope/allot-supervisor \
  lib/systemd/system/allot-{scheduler,gateway,agent}.service share/bash-completion/completions/allot share/zsh/vendor-completions/_allot \
  share/allotrope/policies/balanced.yaml share/allotrope/catalogue/devices.csv share/allotrope/dashboards/{fleet.json,prometheus.yml} \
  share/allotrope/health/rules.tsv share/doc/allotrope-{client,scheduler,agent,gateway}/copyright; do
  [ -s "$prefix/$file" ] || fail "$file is not installed"
done
grep -q "ExecStart=$prefix/bin/allot-agent " "$prefix/lib/systemd/system/allot-agent.service" || fail "the unit names another program than the installed one"

# Every option and every subcommand that a program knows is in its page.
page() { zcat "$prefix/share/man/man$2/$1.$2.gz" | sed 's/\\-/-/g'; }
words_of() { grep -oE '^  (-h,)?(--[a-z-]+|[a-z]+)' | tr -d ' ' | sed 's/^-h,//'; }
holds() {  # PROGRAM SECTION ARGUMENTS…
  local name=$1 section=$2 word
  shift 2
  page "$name" "$section" >"$work/page"
  for word in $("$prefix/bin/$name" "$@" --help | words_of); do grep -qF -- "$word" "$work/page" || fail "man $name has no '$word' (of '$name $*')"; done
}
for program in allot-scheduler allot-gateway allot-agent; do holds $program 8; done
holds allot 1
subcommands() { awk '/^Subcommands:/ {on = 1; next} /^[^ ]/ || /^$/ {on = 0} on && /^  [a-z]/ {sub(/,$/, "", $1); print $1}'; }  # of "user, tokens" the first
for command in $("$prefix/bin/allot" --help | subcommands); do
  holds allot 1 "$command"
  grep -qiE "^\.SH $command(,|$)" "$work/page" || fail "man allot has no section on $command"
  grep -q "$command" "$prefix/share/bash-completion/completions/allot" || fail "the completion does not know $command"
done
if command -v groff >/dev/null; then
  for file in "$prefix"/share/man/man*/*.gz; do
    said=$(zcat "$file" | groff -K utf8 -man -Tutf8 -ww -z 2>&1) || fail "$file: $said"
    [ -z "$said" ] || fail "$file: $said"
  done
fi
bash -c 'source "$0"; COMP_WORDS=(allot subm) COMP_CWORD=1; _allot; [ "${COMPREPLY[*]}" = submit ]' "$prefix/share/bash-completion/completions/allot" || fail "the completion does not complete"

# The examples as they are, with the commands in their heads; only folders and ports are those of this test.
export PATH=$prefix/bin:$PATH
etc=$work/etc lib=$work/lib
mkdir -p "$etc" "$lib"
by_example() {
  local file=$prefix/share/doc/allotrope-$1/examples/$1.yaml
  mkdir -p "$work/example"
  sed -E "s|/etc/allotrope|$etc|g; s|/var/lib/allotrope|$lib|g; s|127\.0\.0\.1:74[0-9]+|127.0.0.1:0|" "$file" >"$work/example/$1.yaml"
  # Whoever runs this test owns the files, and that is who runs the programs.
  (cd "$work/example" && sed -n 's/^#   //p' "$1.yaml" | grep -v '^chown ' >commands && bash -euo pipefail commands)
}
field() { sed -n "s/^$2: *[\"']\?\([^\"']*\)[\"']\?$/\1/p" "$lib/$1/addresses.yaml"; }
start() {
  "$prefix/bin/allot-$1" --config "$etc/$1.yaml" --check >/dev/null || fail "allot-$1 --check refuses its example"
  "$prefix/bin/allot-$1" --config "$etc/$1.yaml" >"$work/$1.log" 2>&1 &
  pids+=($!)
  disown
  until_true test -e "$lib/$1/addresses.yaml"
}
by_example scheduler >"$work/token"
start scheduler
export ALLOT_SERVER=http://$(field scheduler http) ALLOT_TOKEN=$(grep -oE '[A-Za-z0-9_-]{30,}' "$work/token" | tail -n 1)
for program in agent gateway; do
  by_example $program >/dev/null
  sed -i "s|^scheduler: [^ ]*|scheduler: $(field scheduler endpoint)|" "$etc/$program.yaml"
done
start agent
alive() { allot nodes --json | jq -e '[.nodes[] | select(.alive)] | length == 1'; }
until_true alive
# The supervisor was found from where the agent stands.
allot submit --cpus 0.1 --memory 16MiB --wait -- /bin/true >/dev/null || fail "a job does not run on what was installed"
ls -l /proc/"${pids[1]}"/exe | grep -q "$prefix/bin/allot-agent" || fail "another agent than the installed one ran"
if [ -x "$prefix/bin/allot-gateway" ]; then
  start gateway
  until_true curl -fsS "http://$(field gateway http)/healthz"
fi
# Ready-made policies need no file beside the program.
(cd / && allot policy check balanced >/dev/null) || fail "allot policy check balanced"
echo "ok"
