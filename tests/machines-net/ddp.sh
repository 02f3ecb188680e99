#!/usr/bin/env bash
# PyTorch's DistributedDataParallel (Debian's python3-torch, gloo) as a gang over four machines whose /etc/hosts are as
# Debian's installer leaves them (127.0.1.1 for the machine's own name). Needs root; installs python3-torch if it is missing.
#   ddp.sh BIN_DIR
set -euo pipefail
cd "$(dirname "$0")"
dpkg-query -W -f='${db:Status-Status}' python3-torch 2>/dev/null | grep -qx installed ||
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-torch >/dev/null
exec /usr/bin/python3 ddp.py "$1"
