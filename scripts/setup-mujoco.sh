#!/usr/bin/env bash
# Fetches the MuJoCo library and Gymnasium's models for the feature `mujoco` into third-party/mujoco,
# which git ignores. Both come out of pinned Python packages, checked by hash; nothing is installed.
# Needs python3 with pip, on Linux x86_64 or aarch64; root on Debian or Ubuntu gets them installed.
set -euo pipefail
cd "$(dirname "$0")/.."

mujoco=3.17.0
gymnasium=1.4.0
gymnasium_hash=1cb947c59e7c72d8eabb2c2274c00cd20948e69f8452a9ef4092223be24fdf0e
folder=third-party/mujoco
# Without the library, all that a build prints is the path of it that .cargo/config.toml names; it
# goes through this link, so that it says what to do.
link=third-party/run-scripts-setup-mujoco.sh
# Written last, so that an interrupted run is done again.
stamp=$folder/complete
contents="mujoco $mujoco gymnasium $gymnasium"

fail() {
    echo "setup-mujoco: $1" >&2
    exit 1
}

if [[ -f $stamp && $(<"$stamp") == "$contents" && -f $link/lib/libmujoco.so ]]; then
    exit 0
fi

[[ $(uname -s) == Linux ]] || fail "only Linux is supported, found $(uname -s)"
machine=$(uname -m)
case $machine in
    x86_64) mujoco_hash=42371356efe53a5f5f73ed03fcb967bdf04048017f80e2fca01e71a360e42da2 ;;
    aarch64) mujoco_hash=525e09a00ecd964f06582773d9eeb03bb0e5a1675edf296a6868024759b3b235 ;;
    *) fail "no MuJoCo library for $machine, only for x86_64 and aarch64" ;;
esac
if ! python3 -m pip --version >/dev/null 2>&1 && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip
fi
python3 -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to fetch the packages"

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
cat >"$download/requirements.txt" <<REQUIREMENTS
mujoco==$mujoco --hash=sha256:$mujoco_hash
gymnasium==$gymnasium --hash=sha256:$gymnasium_hash
REQUIREMENTS
# One Python version for everybody: the library inside is the same, but the package's hash is not.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary=:all: --implementation cp --python-version 3.12 --abi cp312 \
    --platform "manylinux_2_28_$machine" --dest "$download" --requirement "$download/requirements.txt" ||
    fail "could not fetch mujoco $mujoco and gymnasium $gymnasium, or their hashes differ"

rm -rf "$folder"
python3 - "$download" "$folder" "$mujoco" "$gymnasium" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

download, folder, mujoco, gymnasium = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]


def extract(package, members):
    (wheel,) = download.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member, target in members.items():
            target = folder / target
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))


library = f"libmujoco.so.{mujoco}"
extract(
    "mujoco",
    {
        f"mujoco/{library}": f"lib/{library}",
        f"mujoco-{mujoco}.dist-info/licenses/LICENSE": "lib/LICENSE",
        f"mujoco-{mujoco}.dist-info/licenses/LICENSES_THIRD_PARTY.md": "lib/LICENSES_THIRD_PARTY.md",
    },
)
(folder / "lib/libmujoco.so").symlink_to(library)
models = (
    "ant half_cheetah hopper humanoid humanoidstandup inverted_double_pendulum inverted_pendulum"
    " reacher swimmer walker2d walker2d_v5"
).split()
members = {f"gymnasium/envs/mujoco/assets/{model}.xml": f"models/{model}.xml" for model in models}
members[f"gymnasium-{gymnasium}.dist-info/licenses/LICENSE"] = "models/LICENSE"
extract("gymnasium", members)
PYTHON
ln -sfn mujoco "$link"
echo "$contents" >"$stamp"
