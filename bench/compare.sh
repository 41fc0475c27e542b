#!/usr/bin/env bash
# Measures tuff beside RocksDB and LMDB: builds what that needs, runs it, prints ratios.
#
#   bench/compare.sh --quick                   the main workloads, below 3 minutes
#   bench/compare.sh --full                    all of it, three rounds, below 40 minutes
#   bench/compare.sh --only get,ycsb-a         these workloads only
#   bench/compare.sh --full --json full.json   where the rows go (the picture goes beside them)
#   bench/compare.sh --help                    all options
#
# The peers are Debian's packages: tools/install_packages.sh bench. What is not installed is skipped.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release
for option in "$@"; do
  case "$option" in -h | --help) exec python3 "$root/bench/compare.py" --help ;; esac
done
python3 "$root/bench/compare.py" --check "$@"  # a mistyped option does not wait for the build
mkdir -p "$build"
log=$build/compare-build.log
# What was configured stays so; else without the tests, whose packages need not be there.
configure=(cmake -S "$root" -B "$build" -DTUFF_BUILD_BENCH=ON)
[ -f "$build/CMakeCache.txt" ] || configure+=(--preset release -DTUFF_BUILD_TESTS=OFF)
if ! { "${configure[@]}" && cmake --build "$build" --target bench_cell bench_micro; } >"$log" 2>&1; then
  tail -n 50 "$log" >&2
  echo "compare: building failed; the packages that it needs: tools/install_packages.sh bench" >&2
  exit 1
fi
exec python3 "$root/bench/compare.py" --programs "$build/bench" "$@"
