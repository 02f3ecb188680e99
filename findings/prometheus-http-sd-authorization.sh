#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12): one `authorization` block, two meanings.
# Under a scrape config, `authorization: {credentials_file: F}` sends `Authorization: Bearer TOKEN`, as the documentation
# says of `type`'s default. The same block under `http_sd_configs` sends the bare token without a scheme, so a server
# that asks for Bearer refuses discovery (401) while scrapes with the very same lines are let in. `type: Bearer` written
# out is sent in both places.
#
# Installs the package into a temporary folder, asks a listener of a few lines, and fails if this is no longer so.
set -euo pipefail
version=2.42.0+ds-5+deb12u1
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
(cd "$work" && chmod 755 . && apt-get download -qq "prometheus=$version" >/dev/null && dpkg -x prometheus_*.deb unpacked)
printf 'secret\n' >"$work/token"

# Answers every request with one target (itself) or an empty page; writes PATH and Authorization of each.
cat >"$work/listener.py" <<'P'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        print(self.path, self.headers.get("Authorization"), flush=True)
        body = b'[{"targets":["127.0.0.1:%d"]}]' % self.server.server_port if "sd" in self.path else b"x 1\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if "sd" in self.path else "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1], "w") as out: out.write(str(server.server_port))
server.serve_forever()
P
python3 "$work/listener.py" "$work/port" >"$work/seen" &
until [ -s "$work/port" ]; do read -rt 0.1 <> <(:) || true; done
port=$(cat "$work/port")
cat >"$work/prometheus.yml" <<Y
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: bare
    authorization: {credentials_file: $work/token}
    http_sd_configs:
      - {url: "http://127.0.0.1:$port/sd-without-type", refresh_interval: 1s, authorization: {credentials_file: $work/token}}
  - job_name: typed
    http_sd_configs:
      - {url: "http://127.0.0.1:$port/sd-with-type", refresh_interval: 1s, authorization: {type: Bearer, credentials_file: $work/token}}
Y
"$work/unpacked/usr/bin/prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
  --web.listen-address=127.0.0.1:0 >"$work/log" 2>&1 &
for want in /sd-without-type /sd-with-type '/metrics Bearer'; do
  for _ in $(seq 300); do grep -q "^$want" "$work/seen" && break; read -rt 0.1 <> <(:) || true; done
done
"$work/unpacked/usr/bin/prometheus" --version 2>&1 | head -1
sort -u "$work/seen" | tee "$work/unique"
grep -qx '/sd-without-type secret' "$work/unique"
grep -qx '/sd-with-type Bearer secret' "$work/unique"
grep -qx '/metrics Bearer secret' "$work/unique"
echo "as described"
