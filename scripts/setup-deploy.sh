#!/usr/bin/env bash
# Installs what `cargo test --test deploy` needs to check the recipes in deploy/: GNU parallel from
# the distribution, and the schemas of Kubernetes (tests/deploy/requirements.txt) in a virtual
# environment, third-party/deploy, which git ignores. Needs Python 3.11 or later with venv; root on
# Debian or Ubuntu gets venv and GNU parallel installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh

ready() { parallel --version 2>/dev/null | grep -q '^GNU parallel'; }

if ! ready && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends parallel
fi
if ! ready; then
    echo "setup-deploy: GNU parallel is needed" >&2
    exit 1
fi
venv third-party/deploy tests/deploy/requirements.txt
