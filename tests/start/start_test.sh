#!/usr/bin/env bash
# What a short command costs to start.
#   start_test.sh libraries|instructions ALLOT
# libraries: `allot` needs none but the C library's. instructions: how many a command executes, the loader's
# included, under Valgrind; the bounds are one and a half times what was counted on a dev build.
set -euo pipefail
what=$1 allot=$2
fail() { echo "$*" >&2; exit 1; }

libraries() {
  readelf -h "$allot" >/dev/null || fail "$allot cannot be read"
  for library in $(readelf -d "$allot" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case "$library" in
      libc.so.*|libm.so.*|ld-linux*) ;;  # where the linker is not mold
      *) fail "allot needs $library, which costs every command its loading: what uses it belongs into another program, or is linked as an archive (ADR 14)" ;;
    esac
  done
}

# MOST CODE ARGS…: `allot ARGS` ends with CODE and executes at most MOST instructions.
at_most() {
  local most=$1 code=$2 ended=0 said counted
  shift 2
  said=$(cd / && env -i HOME=/nonexistent valgrind --tool=callgrind --callgrind-out-file=/dev/null "$allot" "$@" 2>&1) || ended=$?
  [ "$ended" -eq "$code" ] || fail "allot $*: code $ended: $said"
  counted=$(sed -n 's/^==.*Collected : \([0-9]*\)$/\1/p' <<<"$said")
  [ -n "$counted" ] || fail "valgrind did not count: $said"
  echo "allot $*: $counted instructions"
  [ "$counted" -le "$most" ] || fail "allot $* executes $counted instructions, and $most are enough; valgrind --tool=callgrind shows what was added"
}
instructions() {
  local said port scheduler loading=0
  said=$(valgrind --tool=none -q /bin/true 2>&1) || fail "valgrind does not run: $said"
  ! readelf -d "$allot" | grep -q NEEDED || loading=600000  # where the linker is not mold
  at_most $((550000 + loading)) 0 version
  # A scheduler that takes one job and is gone.
  coproc { python3 -c '
import socket
body = b"""{"version": 1, "job": {"id": "job-1", "phase": "pending"}}"""
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    peer, _ = server.accept()
    asked = b""
    while b"\r\n\r\n" not in asked or not asked.endswith(b"}"):
        asked += peer.recv(65536)
    peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    peer.recv(1)
'; }
  scheduler=$COPROC_PID
  read -r port <&"${COPROC[0]}"
  at_most $((1050000 + loading)) 0 --server "http://127.0.0.1:$port" submit --cpus 2 --memory 1GiB --name n -- true
  wait "$scheduler"
}

"$what"
