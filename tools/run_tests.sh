#!/usr/bin/env bash
# Installs what is needed, builds in every way, and tests all of it.
#
#   tools/run_tests.sh           style; g++; clang with ASan and UBSan (all built, the long tests
#                                left out); TSan of what is concurrent
#   tools/run_tests.sh --quick   style and g++ only
#
# Build output goes to build/logs/. The last line is "N passed, N failed, N skipped" over all
# stages; the exit status is 1 if anything failed. What takes longer is in tests/nightly.sh.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=
case "${1-}" in
  '') ;;
  --quick) quick=1 ;;
  *)
    echo "usage: tools/run_tests.sh [--quick]" >&2
    exit 2
    ;;
esac

jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
logs=$PWD/build/logs
results=$logs/results  # lines that tests/count_results.py prints, of all stages
mkdir -p "$logs"
: >"$results"

# Sanitizers need their shadow where randomised addresses may lie.
unrandomised=()
if setarch -R true 2>/dev/null; then unrandomised=(setarch -R); fi
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=second_deadlock_stack=1

# step NAME COMMAND...: runs it, its output into a log; says how long it took, and the log's end if
# it failed.
step() {
  local name=$1 start=$SECONDS status=0
  shift
  "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
  if [ "$status" = 0 ]; then
    printf '%-18s ok      %4d s\n' "$name" $((SECONDS - start))
    grep '^Built at the second try' "$logs/$name.log"
  else
    printf '%-18s FAILED  %4d s\n' "$name" $((SECONDS - start))
    tail -n 100 "$logs/$name.log"
    # The reason goes into the last lines, too, which may be all that anybody sees.
    echo "failed $name: $(grep -E 'FAILED:|error:|fatal|Killed|No space' "$logs/$name.log" |
      head -n 3 | cut -c 1-200 | tr '\n' ' ')" >>"$results"
  fi
  return "$status"
}

configure_and_build() {
  cmake --preset "$1" || return
  cmake --build "build/$1" -j "$jobs" -- "${@:2}" && return
  # Memory may have been short. What is wrong with the code fails again.
  cmake --build "build/$1" -j 1 -- "${@:2}" && echo "Built at the second try, one job at a time"
}

# run_ctest PRESET [OPTIONS]: every failing test's output is shown.
run_ctest() {
  local preset=$1 start=$SECONDS
  shift
  rm -f "$logs/$preset.xml"
  "${wrapper[@]}" ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error \
    --test-output-size-passed 10000000 --test-output-size-failed 10000000 \
    --output-junit "$logs/$preset.xml" "$@" </dev/null 2>&1 | tee "$logs/$preset-tests.log"
  python3 tests/count_results.py "$preset" "$logs/$preset.xml" >>"$results" ||
    echo "failed $preset-tests: no results" >>"$results"
  printf '%-18s done    %4d s\n' "$preset-tests" $((SECONDS - start))
}

# stage PRESET: builds everything, then runs the tests that ctest's other arguments select.
stage() {
  step "$1-build" configure_and_build "$1" || return
  run_ctest "$@"
}

# The same, but builds no more than the programs of those tests.
stage_of_selected() {
  local preset=$1 programs
  step "$preset-configure" cmake --preset "$preset" || return
  # A test is named as its program, or as that and .something, but for that of `tuff` itself.
  programs=$(ctest --test-dir "build/$preset" "${@:2}" -N |
    sed -n 's/^ *Test *#[0-9]*: //p' | sed 's/^tools_cli.*/tuff_cli/; s/\..*//' | sort -u)
  # shellcheck disable=SC2086  # one word for each program
  step "$preset-build" configure_and_build "$preset" $programs || return
  run_ctest "$@"
}

begin=$SECONDS
step packages tools/install_packages.sh tests || exit 1
if step tidy tests/tidy; then grep '^passed ' "$logs/tidy.log" >>"$results"; fi
wrapper=()
stage release
if [ -z "$quick" ]; then
  wrapper=("${unrandomised[@]}")
  stage asan -LE 'long|bench|package'
  stage_of_selected tsan -L threads
fi

echo
printf 'all stages: %d min %d s\n' $(((SECONDS - begin) / 60)) $(((SECONDS - begin) % 60))
python3 tests/count_results.py --sum "$results"
