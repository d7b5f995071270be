# Sourced by the setup scripts: installs pinned packages into a virtual environment, once.

# venv FOLDER REQUIREMENTS: needs Python 3.11 or later with venv, which root on Debian or Ubuntu gets
# installed. Downloads nothing when FOLDER holds exactly these requirements.
venv() {
    local folder=$1 requirements=$2
    # Written last, so that an interrupted run is done again.
    local stamp=$folder/complete
    local name=${0##*/}
    name=${name%.sh}
    if [[ -x $folder/bin/python ]] && cmp -s "$requirements" "$stamp" && "$folder/bin/python" -c '' 2>/dev/null; then
        return
    fi
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "$name: Python 3.11 or later is needed" >&2
        return 1
    fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
    fi
    rm -rf "$folder"
    if ! python3 -m venv "$folder"; then
        echo "$name: could not make a virtual environment" >&2
        return 1
    fi
    if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --requirement "$requirements"; then
        echo "$name: could not install $requirements" >&2
        return 1
    fi
    cp "$requirements" "$stamp"
}
