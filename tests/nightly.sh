#!/usr/bin/env bash
# What is worth a night and too long for tools/run_tests.sh, which should have passed before:
# assertions without optimisation, sanitizers over the long tests too, other seeds and far more
# operations, and real DAX in a guest. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

build_and_test() {
  local preset=$1
  shift
  printf '\n== %s %s\n' "$preset" "$*"
  cmake --preset "$preset" >/dev/null
  cmake --build "build/$preset" -j "$jobs" >/dev/null
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --timeout 14400 "$@"
}

tools/install_packages.sh tests
build_and_test debug
build_and_test asan
build_and_test tsan

build_and_test release -LE package
# Not under ctest, whose time-outs are for the usual numbers.
TUFF_CRASH_SEED=$(date +%s)
export TUFF_CRASH_SEED TUFF_KILLS=10000 TUFF_MODEL_OPS=50000000 \
  TUFF_LINEARIZABILITY_SEEDS=20000 TUFF_STRESS_MS=600000 TUFF_INTERLEAVE_STRIDE=1
printf '\n== far more, TUFF_CRASH_SEED=%s\n' "$TUFF_CRASH_SEED"
build/release/tests/crash/crash_test --gtest_brief=1 --images 5000000
for program in crash/crash_mutant_test crash/sigkill_test engine/model_test \
  concurrency/linearizability_test concurrency/stress_test concurrency/isolation_test \
  concurrency/interleave_test; do
  "build/release/tests/$program" --gtest_brief=1
done
unset TUFF_CRASH_SEED TUFF_KILLS TUFF_MODEL_OPS TUFF_LINEARIZABILITY_SEEDS \
  TUFF_STRESS_MS TUFF_INTERLEAVE_STRIDE

# Under mprotect each window costs two system calls, hence fewer operations.
printf '\n== all under the mprotect guard\n'
for program in pagemap/pagemap_test engine/engine_test engine/open_test engine/memory_test \
  golden/golden_test golden/open_cost_test crash/recorder_test \
  crash/crash_regression_test crash/sigkill_test concurrency/linearizability_test \
  concurrency/stress_test concurrency/isolation_test; do
  TUFF_LINEARIZABILITY_SEEDS=5 TUFF_STRESS_MS=1000 \
    tests/with_guard mprotect "build/release/tests/$program" --gtest_brief=1
done
tests/with_guard mprotect build/release/tests/crash/crash_test --gtest_brief=1 --images 20000

printf '\n== each call fails\n'
TUFF_FAULT_ALL=1 build/release/tests/fault/fault_test --gtest_brief=1

printf '\n== every byte damaged\n'
TUFF_DAMAGE_THOROUGH=1 build/release/tests/damage/damage_sweep_test --gtest_brief=1
for program in fsck_sweep_test repair_test inspect_damage_test; do
  TUFF_DAMAGE_STRIDE=1 "build/release/tests/damage/$program" --gtest_brief=1
done

printf '\n== fuzzing\n'
tests/fuzz/run 3600 || [ $? = 77 ]

printf '\n== real DAX\n'
tests/vm/run build/release/tests/vm/dax_test || [ $? = 77 ]

printf '\n== under protection keys, in the same guest\n'
export TUFF_TEST_GUARD=pkey TUFF_GUEST_TIMEOUT=1800
# Without what needs the source tree, and what compares times.
for program in pagemap/pagemap_test engine/engine_test engine/open_test crash/recorder_test \
  crash/crash_regression_test; do
  tests/vm/run "build/release/tests/$program" --gtest_brief=1 \
    '--gtest_filter=-CheckMessagesTest.*:FormatDocTest.*:*SyncsPerPut*' || [ $? = 77 ]
done
