#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/devices-packages.sh [FOLDER]   fetches what the token tests' devices need and unpacks it in FOLDER (build-devices)
#
# These packages would spoil a machine when installed: libtpm2-pkcs11-1 registers with p11-kit and troubles every program that asks
# all modules, pcscd and opencryptoki start services. So nothing is installed: each package that is not on the machine, with what it
# depends on, is downloaded once and unpacked with dpkg -x. Devices look in FOLDER first, then in the system (tests/tokens/devices).
set -eu -o pipefail
cd "$(dirname "$0")/.."

packages=(swtpm libtpm2-pkcs11-1 tpm2-abrmd libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0 dbus-daemon opencryptoki libnss3 libnss3-tools
  p11-kit p11-kit-modules softhsm2 opensc pcscd nginx)
root=${1:-build-devices}

# Names that would be newly installed; what is only upgraded is good enough as it is.
closure() { apt-get -s -o Debug::NoLocking=1 install --no-install-recommends "$@" | awk '/^Inst/ && $3 ~ /^\(/ { print $2 }'; }

mkdir -p "$root/archives"
[ "$(cat "$root/packages" 2>/dev/null)" = "${packages[*]}" ] && exit 0
if ! names=$(closure "${packages[@]}"); then
  apt-get update -qq
  names=$(closure "${packages[@]}")
fi
for name in $names; do
  # Services and rules of the machine are not for a folder.
  case $name in systemd* | udev | *-udev | libpam-* | adduser) continue ;; esac
  [ -n "$(find "$root/archives" -name "${name}_*.deb")" ] && continue
  (cd "$root/archives" && apt-get -qq -o APT::Sandbox::User=root download "$name")
done
find "$root/archives" -name '*.deb' -exec dpkg -x {} "$root" \;
echo "${packages[*]}" >"$root/packages"
