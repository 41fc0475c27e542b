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
mkdir -p "$build"
if ! { cmake -S "$root" --preset release &&
  cmake --build "$build" --target bench_cell bench_micro; } >"$build/compare-build.log" 2>&1; then
  tail -n 50 "$build/compare-build.log" >&2
  echo "compare: building failed; the packages that it needs: tools/install_packages.sh bench" >&2
  exit 1
fi
exec python3 "$root/bench/compare.py" --programs "$build/bench" "$@"
