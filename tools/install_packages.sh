#!/usr/bin/env bash
# Installs the Debian packages that tuff needs. Does nothing, quickly, if they are all there.
#
#   tools/install_packages.sh program   what building the program and the library needs
#   tools/install_packages.sh bench     that, and the engines that the benchmarks compare tuff with
#   tools/install_packages.sh tests     all of that, and what the tests need
#   tools/install_packages.sh index     no package: fetches the package index if there is none
set -euo pipefail

program=(g++ cmake ninja-build pkg-config
  libpmem2-dev liburcu-dev libxxhash-dev libfmt-dev libcli11-dev nlohmann-json3-dev)
bench=(python3 librocksdb-dev liblmdb-dev)
tests=(clang libclang-rt-14-dev clang-format shellcheck git util-linux xz-utils man-db strace jq spin
  libgtest-dev libgmock-dev libbenchmark-dev lmdb-utils db-util chromium)

fail() {
  printf 'install_packages: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "must be root for: $*"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# The names among "$@" that are not installed.
missing() {
  dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^installed //p' | sort -u |
    comm -13 - <(printf '%s\n' "$@" | sort -u)
}

case "${1-}" in
  program) wanted=("${program[@]}") ;;
  bench) wanted=("${program[@]}" "${bench[@]}") ;;
  tests) wanted=("${program[@]}" "${bench[@]}" "${tests[@]}") ;;
  index)
    # Without an index, apt still knows the packages that are installed.
    [ "$(apt-cache dumpavail | grep -c '^Package: ')" -ge 5000 ] || apt update
    exit ;;
  *) fail "usage: tools/install_packages.sh program|bench|tests|index" ;;
esac

command -v dpkg-query apt-get >/dev/null ||
  fail "this is no Debian; install by other means, then build with CMake: ${wanted[*]}"
mapfile -t absent < <(missing "${wanted[@]}")
if [ "${#absent[@]}" = 0 ]; then
  echo "all packages are there"
  exit
fi
echo "installing ${absent[*]}"
apt update
apt install -y --no-install-recommends "${absent[@]}"
