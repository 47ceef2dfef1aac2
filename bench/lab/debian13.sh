#!/usr/bin/env bash
# A software GPU with matrix units: Mesa 26's lavapipe runs chromium_experimental_subgroup_matrix (f16 x f16 -> f32, 8x8x8; subgroups of
# 8; shader-f16). With LP_NATIVE_VECTOR_WIDTH=512 they have 16 lanes, and its compiler crashes over the first subgroupMatrixLoad.
# It wants a newer C library than Debian 12 has, so it lives in a Debian 13 tree.
#   debian13.sh setup            once per machine, as root: about 2 minutes, 700 MB, Debian's packages alone
#   debian13.sh run COMMAND...   runs COMMAND there, in this folder, with this machine's node
# It executes, so it shows what is right; its speed says nothing about a GPU.
set -euo pipefail
root=${DEBIAN13:-$HOME/.cache/debian13}
case ${1:-} in
  setup)
    [ -e "$root/.ready" ] && { echo "ready: $root"; exit 0; }
    command -v debootstrap >/dev/null || { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y install debootstrap >/dev/null; }
    mirror=$(awk '/^URIs/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list)
    mkdir -p "$root"
    debootstrap --variant=minbase --no-check-gpg trixie "$root" "$mirror" >"$root.log" 2>&1 || { tail -3 "$root.log" >&2; exit 1; }
    cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true
    printf 'deb [trusted=yes] %s trixie main\ndeb [trusted=yes] %s trixie-backports main\n' "$mirror" "$mirror" >"$root/etc/apt/sources.list"
    chroot "$root" bash -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -t trixie-backports install mesa-vulkan-drivers libvulkan1 libatomic1 ca-certificates' >>"$root.log" 2>&1
    touch "$root/.ready"
    echo "ready: $root ($(chroot "$root" dpkg-query -W mesa-vulkan-drivers))"
    ;;
  run)
    shift
    [ -e "$root/.ready" ] || { echo "debian13.sh: run 'setup' first" >&2; exit 1; }
    # A mount namespace of its own: nothing stays mounted when it ends.
    # vitest listens to itself on localhost.
    grep -qs localhost "$root/etc/hosts" || echo '127.0.0.1 localhost' >>"$root/etc/hosts"
    exec unshare --mount bash -c '
      root=$1; here=$2; shift 2
      top=$(git -C "$here" rev-parse --show-toplevel 2>/dev/null || echo "$here")
      mkdir -p "$root$top" "$root/opt/node"
      mount --bind "$top" "$root$top"
      mount --rbind "$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")" "$root/opt/node"
      mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
      exec chroot "$root" env PATH=/opt/node/bin:/usr/bin:/bin HOME=/root LP_NATIVE_VECTOR_WIDTH="${LP_NATIVE_VECTOR_WIDTH:-256}" VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json bash -c "cd \"\$0\" && exec \"\$@\"" "$here" "$@"' _ "$root" "$PWD" "$@"
    ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
