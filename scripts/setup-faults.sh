#!/usr/bin/env bash
# Installs what `cargo test --test faults` needs to make clocks jump: faketime from the distribution.
# Needs root on Debian or Ubuntu.
set -euo pipefail

ready() { command -v faketime >/dev/null; }

ready && exit 0
if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "setup-faults: install faketime, or run this as root on Debian or Ubuntu" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime
ready
