#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The two commands of the README on a bare Debian 12: debootstrap minbase plus git, first as root, which installs the packages,
# then as an ordinary user who finds them there. Needs root, debootstrap, and a package mirror: the one this host uses.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "skipped: needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "skipped: debootstrap is not installed"; exit 77; }

root=$(mktemp -d)
chmod 755 "$root"
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ')

leave() {
  umount -l "$root/dev/pts" "$root/dev" "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap leave EXIT

debootstrap --variant=minbase --include=git bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/"
rm -f "$root/etc/apt/sources.list"
cp -r /etc/apt/apt.conf.d /etc/apt/sources.list.d "$root/etc/apt/"
rm -f "$root/etc/apt/apt.conf.d/"docker* "$root/etc/apt/sources.list.d/"*node*
cp -n /usr/share/keyrings/debian* "$root/usr/share/keyrings/"
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"

git clone -q --no-hardlinks . "$root/srv/keystow"
chroot "$root" git config --system --add safe.directory '*'
inside() { chroot "$@" </dev/null; }
bare=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root)

echo "as root: ./try"
inside "$root" "${bare[@]}" bash -c 'cd /srv/keystow && ./try'
echo "as root: ./check"
inside "$root" "${bare[@]}" bash -c 'cd /srv/keystow && ./check'
inside "$root" useradd -m someone
inside "$root" cp -r /srv/keystow /home/someone/keystow
inside "$root" rm -rf /home/someone/keystow/build /home/someone/keystow/build-asan /home/someone/keystow/build-clang
inside "$root" chown -R someone: /home/someone/keystow
echo "as an ordinary user: ./try"
inside --userspec=someone "$root" "${bare[@]}" HOME=/home/someone bash -c 'cd ~/keystow && ./try'
echo "as an ordinary user: ./check"
inside --userspec=someone "$root" "${bare[@]}" HOME=/home/someone bash -c 'cd ~/keystow && ./check'
