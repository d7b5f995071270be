#!/usr/bin/env bash
# Installs what the notebooks need (notebooks/requirements.txt) into a virtual environment,
# third-party/notebooks, which git ignores; with it, `cargo test --test notebooks` executes them.
# Needs Python 3.11 or later with venv; root on Debian or Ubuntu gets venv installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/venv.sh
venv third-party/notebooks notebooks/requirements.txt
