#!/usr/bin/env bash
# Installs what is missing from Debian's packages; says nothing when nothing is.
#   scripts/deps.sh          what building and running needs
#   scripts/deps.sh --test   and what the tests need
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

lists=("$here/packages.txt")
case "${1:-}" in
  "") ;;
  --test) lists+=("$here/packages-test.txt") ;;
  -h|--help) sed -n '2,4s/^# \?//p' "$0"; exit 0 ;;
  *) echo "deps.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac

missing=()
for line in $(grep -hv '^#' "${lists[@]}"); do
  package=${line%|*}
  case "$line" in *"|"*) command -v "${line#*|}" >/dev/null && continue ;; esac
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done

# The public OpenAI client, from npm, as the lock file pins it.
openai_client() {
  local folder=$here/../tests/openai
  [ "${lists[1]:-}" ] || return 0
  cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock" && return 0
  (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts >&2) ||
    { echo "deps.sh: npm ci failed in tests/openai; the npm registry must be reachable" >&2; return 1; }
  cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock"
}

[ ${#missing[@]} -eq 0 ] && { openai_client; exit; }

if [ "$(id -u)" -eq 0 ]; then as_root=(); elif command -v sudo >/dev/null; then as_root=(sudo); else
  echo "deps.sh: these packages are missing: ${missing[*]}" >&2
  echo "deps.sh: run as root, install sudo, or ask an administrator: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A Debian package starts its service on installation; tests start a Prometheus of their own.
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "${missing[@]}"
}
if ! install >"$log" 2>&1; then
  cat "$log" >&2
  echo "deps.sh: apt-get failed (its output is above); Allotrope needs Debian 12 with its main archive reachable" >&2
  exit 1
fi
openai_client
