#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/openssl-versions.sh [trixie|experimental]...   the same source on newer OpenSSL: Debian 13 (3.5), and the newest there is, from
# experimental over unstable (4.x). Each in a bare Debian made by debootstrap: builds there, warnings are errors, and runs the suites
# unit, tokens and peers. Needs root, debootstrap, and a package mirror: the one this host uses.
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "skipped: needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "skipped: debootstrap is not installed"; exit 77; }

# shellcheck source=tests/packages.sh
. tests/packages.sh
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ')
bare=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
debian=

leave() {
  [ -n "$debian" ] || return 0
  umount -l "$debian/dev/pts" "$debian/dev" "$debian/proc" 2>/dev/null || true
  rm -rf --one-file-system "$debian"
}
trap leave EXIT

inside() { chroot "$debian" "${bare[@]}" "$@" </dev/null; }

# quietly COMMAND...: its words are shown only when it fails.
quietly() {
  local log
  log=$(mktemp)
  "$@" >"$log" 2>&1 || { tail -n 40 "$log"; rm -f "$log"; return 1; }
  rm -f "$log"
}

# What the tests want and what this Debian has of it: names differ between releases.
install() {
  local name have=()
  inside apt-get update -qq
  for name in $build_packages $test_packages nginx-light; do
    inside apt-cache show "$name" >/dev/null 2>&1 && have+=("$name")
  done
  inside apt-get install -y -qq --no-install-recommends "${have[@]}"
}

# run SUITE [EXTRA]: a Debian of that suite, with OpenSSL from EXTRA where it is named.
run() {
  local suite=$1 extra=${2-}
  debian=$(mktemp -d)
  chmod 755 "$debian"
  quietly debootstrap --variant=minbase "$suite" "$debian" "$mirror"
  cp /etc/resolv.conf "$debian/etc/"
  cp -r /etc/apt/apt.conf.d "$debian/etc/apt/"
  rm -f "$debian/etc/apt/apt.conf.d/"docker*
  mount --bind /proc "$debian/proc"
  mount --bind /dev "$debian/dev"
  mount --bind /dev/pts "$debian/dev/pts"
  quietly install
  if [ -n "$extra" ]; then
    echo "deb $mirror $extra main" >"$debian/etc/apt/sources.list.d/$extra.list"
    quietly inside apt-get update -qq
    quietly inside apt-get install -y -qq --no-install-recommends -t "$extra" libssl-dev openssl
  fi
  git clone -q --no-hardlinks . "$debian/srv/keystow"
  inside git config --system --add safe.directory '*'
  echo "$suite${extra:+ with $extra}: $(inside openssl version)"
  quietly inside bash -c 'cd /srv/keystow && meson setup build -Dtests=true -Dwerror=true && ninja -C build'
  inside meson test -C /srv/keystow/build --no-rebuild --print-errorlogs --timeout-multiplier 5 --suite unit --suite tokens --suite peers
  leave
  debian=
}

[ $# -gt 0 ] || set -- trixie experimental
for row in "$@"; do
  case $row in
  trixie) run trixie ;;
  experimental) run sid experimental ;;
  *) sed -n '4,6s/^# //p' "$0"; exit 2 ;;
  esac
done
