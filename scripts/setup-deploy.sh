#!/usr/bin/env bash
# Installs what `cargo test --test deploy` needs to check the recipes in deploy/: GNU parallel from
# the distribution, and the schemas of Kubernetes (tests/deploy/requirements.txt) in a virtual
# environment, third-party/deploy, which git ignores. Needs Python 3.11 or later with venv; root on
# Debian or Ubuntu gets venv and GNU parallel installed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=third-party/deploy
requirements=tests/deploy/requirements.txt
# Written last, so that an interrupted run is done again.
stamp=$folder/complete

fail() {
    echo "setup-deploy: $1" >&2
    exit 1
}

packages=()
parallel --version 2>/dev/null | grep -q '^GNU parallel' || packages+=(parallel)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
if ((${#packages[@]})) && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
parallel --version 2>/dev/null | grep -q '^GNU parallel' || fail "GNU parallel is needed"

if [[ -x $folder/bin/python ]] && cmp -s "$requirements" "$stamp" && "$folder/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed"
rm -rf "$folder"
python3 -m venv "$folder" || fail "could not make a virtual environment"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --requirement "$requirements" || fail "could not install $requirements"
cp "$requirements" "$stamp"
