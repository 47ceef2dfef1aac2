#!/usr/bin/env bash
# What the lab needs, once per machine (Debian 12, root): the Vulkan loader and headers, Mesa's AMD driver (it comes in the package that
# has lavapipe, 25 or newer: .ci/run installs it), the layer that lets Dawn open that driver without a GPU, and the tree of debian13.sh.
#   setup.sh [--no-run]        --no-run leaves the tree out, which `lab run` alone needs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kit=${OFFLINE_GPU:-$HOME/.cache/offline-gpu}

compgen -G '/usr/share/vulkan/icd.d/radeon_icd*.json' >/dev/null || {
  echo 'setup.sh: there is no AMD driver: install mesa-vulkan-drivers, 25 or newer (.ci/run does, from backports)' >&2
  exit 1
}
if ! [ -e /usr/lib/x86_64-linux-gnu/libvulkan.so.1 ] || ! [ -e /usr/include/vulkan/vk_layer.h ]; then
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install libvulkan1 libvulkan-dev >/dev/null
fi
mkdir -p "$kit"
gcc -O1 -shared -fPIC -o "$kit/libVkLayer_offline.so" "$here/offline-layer.c"
cat >"$kit/offline.json" <<'J'
{ "file_format_version": "1.2.0",
  "layer": { "name": "VK_LAYER_offline", "type": "GLOBAL", "library_path": "./libVkLayer_offline.so", "api_version": "1.4.305",
    "implementation_version": "1", "description": "opens a driver without its GPU",
    "functions": { "vkNegotiateLoaderLayerInterfaceVersion": "vkNegotiateLoaderLayerInterfaceVersion" } } }
J
echo "ready: $kit"
[ "${1:-}" = --no-run ] || exec "$here/debian13.sh" setup
