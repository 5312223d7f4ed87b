# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Which Debian and Ubuntu packages building and testing need, and how they come; sourced by try, check and bench.
# shellcheck disable=SC2034 # used by those who source this

build_packages="gcc libc6-dev meson ninja-build pkg-config libssl-dev libp11-kit-dev libjansson-dev libsqlite3-dev libsmartcols-dev libgfshare-dev scdoc"
test_packages="libcmocka-dev libp11-dev libpcsclite-dev softhsm2 opensc gnutls-bin libnss3-tools openssl libengine-pkcs11-openssl curl openssh-client p11-kit p11-kit-modules
  ca-certificates default-jdk-headless python3 python3-pexpect strace gdb sqlite3 procps zsh fish git"
lint_packages="clang-14 clang-tidy-14 cppcheck shellcheck libclang-rt-14-dev"

# need_packages NAME...: installs those that are missing, as root or through sudo; nothing is fetched when all are there.
need_packages() {
  local missing=() package root=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "as root, run: apt-get install --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
    root=(sudo -n)
  fi
  echo "installing ${missing[*]}"
  if ! { "${root[@]}" apt-get update -qq &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }; then
    echo "apt-get could not install ${missing[*]}" >&2
    exit 1
  fi
}
