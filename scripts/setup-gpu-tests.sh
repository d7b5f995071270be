#!/usr/bin/env bash
# Installs a software Vulkan driver (Mesa's lavapipe) so that the GPU tests run on machines without
# a GPU. Debian or Ubuntu; needs root.
set -euo pipefail
if ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1; then
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    mesa-vulkan-drivers libvulkan1
