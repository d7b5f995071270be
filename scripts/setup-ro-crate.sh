#!/usr/bin/env bash
# Installs the programs that validate exported results (tests/ro-crate/requirements.txt) into a virtual
# environment, third-party/ro-crate, which git ignores; with it, `cargo test --test provenance` runs them.
# Needs Python 3.11 or later with venv; root on Debian or Ubuntu gets venv installed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=third-party/ro-crate
requirements=tests/ro-crate/requirements.txt
# Written last, so that an interrupted run is done again.
stamp=$folder/complete

fail() {
    echo "setup-ro-crate: $1" >&2
    exit 1
}

if [[ -x $folder/bin/python ]] && cmp -s "$requirements" "$stamp" && "$folder/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed"
if ! python3 -c 'import ensurepip, venv' 2>/dev/null && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
fi
rm -rf "$folder"
python3 -m venv "$folder" || fail "could not make a virtual environment"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --requirement "$requirements" || fail "could not install $requirements"
cp "$requirements" "$stamp"
