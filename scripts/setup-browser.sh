#!/usr/bin/env bash
# Installs what `cargo test --test browser` needs to open reports in a browser: Chromium and Node.js
# from the distribution, playwright-core and axe-core from npm, in the versions of
# tests/browser/package-lock.json, into tests/browser/node_modules, which git ignores. Nothing but
# the packages is downloaded. Needs Node.js 18 or later, which Debian 12 has and newer versions of
# playwright-core do not run on; root on Debian or Ubuntu gets Chromium and Node.js installed.
# CETERIS_CHROMIUM names another Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=tests/browser
# Written last, so that an interrupted run is done again.
stamp=$folder/node_modules/complete

fail() {
    echo "setup-browser: $1" >&2
    exit 1
}

packages=()
[[ -x ${CETERIS_CHROMIUM:-/usr/bin/chromium} ]] || packages+=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
if ((${#packages[@]})) && [[ $EUID == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
[[ -x ${CETERIS_CHROMIUM:-/usr/bin/chromium} ]] || fail "Chromium is needed; CETERIS_CHROMIUM may name it"
node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' || fail "Node.js 18 or later is needed"

if cmp -s "$folder/package-lock.json" "$stamp"; then
    exit 0
fi
npm --prefix "$folder" ci --silent --ignore-scripts || fail "could not install the packages of $folder"
cp "$folder/package-lock.json" "$stamp"
