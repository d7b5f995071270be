#!/usr/bin/env bash
# Installs the programs that validate exported results (tests/ro-crate/requirements.txt) into a virtual
# environment, third-party/ro-crate, which git ignores; with it, `cargo test --test provenance` runs them.
# Needs Python 3.11 or later with venv; root on Debian or Ubuntu gets venv installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
venv third-party/ro-crate tests/ro-crate/requirements.txt
