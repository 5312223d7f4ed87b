#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/openssl-versions.sh [trixie|experimental]...   the same source on newer OpenSSL: Debian 13 (3.5), and the newest there is, from
# experimental over unstable (4.x). Each in a bare Debian made by debootstrap: builds there, warnings are errors, and runs the suites
# unit, tokens and peers. Needs root, debootstrap, and a package mirror: the one this host uses. JOBS=N tests run at a time (2).
# shellcheck disable=SC2317 # functions are called by traps and through quietly
set -eu -o pipefail
cd "$(dirname "$0")/.."

# ---- outside: a folder, and namespaces in which all mounts and processes end with the script ----

if [ "${1-}" != --inside ]; then
  [ "$(id -u)" -eq 0 ] || { echo "skipped: needs root"; exit 77; }
  command -v debootstrap >/dev/null || { echo "skipped: debootstrap is not installed"; exit 77; }
  for row in "$@"; do
    case $row in trixie | experimental) ;; *) sed -n '4,6s/^# //p' "$0"; exit 2 ;; esac
  done
  work=$(mktemp -d)
  inside=
  leave() {
    if [ -n "$inside" ]; then
      kill -KILL "$inside" 2>/dev/null || true
      wait "$inside" 2>/dev/null || true
    fi
    # What was killed may write until it is gone.
    rm -rf --one-file-system "$work" 2>/dev/null || { sleep 2; rm -rf --one-file-system "$work"; }
  }
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  chmod 755 "$work"
  unshare --mount --pid --fork --kill-child tests/openssl-versions.sh --inside "$work" "$@" </dev/null &
  inside=$!
  rc=0
  wait "$inside" || rc=$?
  inside=
  exit "$rc"
fi

# ---- inside ----

work=$2
shift 2
# shellcheck source=tests/packages.sh
. tests/packages.sh
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "this host's apt has no mirror of Debian to copy"; exit 1; }
bare=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
debian=
missed=0

within() { chroot "$debian" "${bare[@]}" "$@" </dev/null; }

# quietly COMMAND...: its words are shown only when it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log"; return 1; }
}

# What the tests want and what this Debian has of it: names differ between releases.
install() {
  local name have=()
  within apt-get update -qq
  for name in $build_packages $test_packages nginx-light; do
    within apt-cache show "$name" >/dev/null 2>&1 && have+=("$name")
  done
  within apt-get install -y -qq --no-install-recommends "${have[@]}"
}

# debian_make SUITE [EXTRA]: a Debian of that suite in $debian, with OpenSSL from EXTRA where it is named.
debian_make() {
  local suite=$1 extra=${2-}
  mkdir "$debian"
  debootstrap --variant=minbase "$suite" "$debian" "$mirror" || return 1
  cp /etc/resolv.conf "$debian/etc/"
  # How this host reaches its mirror, not what it does after an installation.
  grep -rhE '^ *Acquire::' /etc/apt/apt.conf.d >"$debian/etc/apt/apt.conf.d/99host" || true
  mount -t proc proc "$debian/proc" && mount --rbind /dev "$debian/dev" && install || return 1
  [ -n "$extra" ] || return 0
  echo "deb $mirror $extra main" >"$debian/etc/apt/sources.list.d/$extra.list"
  within apt-get update -qq && within apt-get install -y -qq --no-install-recommends -t "$extra" libssl-dev openssl
}

source_build() {
  git -c safe.directory='*' clone -q --no-hardlinks . "$debian/srv/keystow" || return 1
  within git config --system --add safe.directory '*'
  within sh -c 'cd /srv/keystow && tests/devices-packages.sh && meson setup build -Dtests=true -Dwerror=true && ninja -C build'
}

# suites TITLE: runs them one by one; one line with what each of them counted.
suites() {
  local title=$1 suite counts line=
  for suite in unit tokens peers; do
    within meson test -C /srv/keystow/build --no-rebuild --print-errorlogs --num-processes "${JOBS:-2}" --timeout-multiplier 10 --suite "$suite" || true
    counts=$(python3 tests/count.py "$debian/srv/keystow/build/meson-logs/testlog.json") || counts="0 1 0"
    # shellcheck disable=SC2086 # three numbers, split on purpose
    set -- $counts
    line="$line; $suite: $1 passed, $2 failed, $3 skipped"
    [ "$1" -gt 0 ] && [ "$2" -eq 0 ] || missed=1
  done
  summary+=("$title$line")
}

# run SUITE [EXTRA]
run() {
  local title
  debian=$work/$1
  title="$1${2:+ with $2}"
  if ! quietly debian_make "$@"; then
    summary+=("$title: could not be set up") missed=1
  else
    title="$title, $(within openssl version | cut -d ' ' -f 1-2), $(within gcc -dumpfullversion | sed 's/^/gcc /')"
    echo "$title"
    if quietly source_build; then suites "$title"; else summary+=("$title: does not build") missed=1; fi
  fi
  umount -R -l "$debian/dev" "$debian/proc" 2>/dev/null || true
  rm -rf --one-file-system "$debian"
}

summary=()
[ $# -gt 0 ] || set -- trixie experimental
for row in "$@"; do
  case $row in
  trixie) run trixie ;;
  experimental) run sid experimental ;;
  esac
done
printf '%s\n' "${summary[@]}"
exit "$missed"
