# What the tests of the program `tuff` share: a directory of their own, running it, checking how it
# ended. Sourced, with the path of `tuff` as $1.
#
# Each check prints a line only if it fails. Nothing here waits for a fixed time.
# shellcheck shell=bash
# shellcheck disable=SC2034  # some are for the tests
set -u
export LC_ALL=C TERM=xterm
# The program must behave the same under a parent that ignores these.
ignore_nothing=(env --default-signal=INT --default-signal=TERM)
# For large loads whose durability is not the point: spares a sync per record (and warns).
fast=--granularity=byte

[ $# -eq 1 ] && [ -x "$1" ] || { echo "usage: $0 TUFF" >&2; exit 2; }
tuff=$(realpath "$1")
dir=$(mktemp -d "${TMPDIR:-/tmp}/tuff_cli_test.XXXXXX") || exit 1
children=()
cleanup() {
  for pid in ${children[@]+"${children[@]}"}; do kill -9 "$pid" 2>/dev/null; done
  rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir" || exit 1
shopt -s lastpipe  # so that a check at the end of a pipeline counts

failures=0
checks=0
skipped=0
fail() {
  failures=$((failures + 1))
  echo "FAIL (line ${BASH_LINENO[-2]}): $*"
  echo "  exit $rc; stdout: $(head -c 300 out); stderr: $(head -c 300 err)"
}
skip() { skipped=$((skipped + 1)); echo "SKIP: $*"; }

# run WORDS...: the program with standard input from the caller; sets rc, fills out and err.
run() { "$tuff" "$@" >out 2>err; rc=$?; }
code() { checks=$((checks + 1)); [ "$rc" -eq "$1" ] || fail "exit $rc, expected $1"; }
out_is() { checks=$((checks + 1)); [ "$(cat out; echo .)" = "$1." ] || fail "stdout is not: $1"; }
out_has() { checks=$((checks + 1)); grep -qE -- "$1" out || fail "stdout lacks: $1"; }
quiet() { checks=$((checks + 1)); [ ! -s err ] || fail "stderr is not empty"; }
# One line, beginning "tuff VERB: ", that matches.
error() {
  checks=$((checks + 1))
  [ "$(wc -l <err)" -eq 1 ] || fail "stderr is not one line"
  grep -qE '^tuff( [a-z-]+)?: ' err || fail "stderr does not begin with tuff VERB:"
  grep -qE -- "$1" err || fail "stderr lacks: $1"
}
ok() { run "$@"; code 0; quiet; }
is_clean() { ok info "$1" --json; out_has '"was_clean":true'; }
# until_true COMMAND...: tries for half a minute.
until_true() {
  local end=$((SECONDS + 30))
  until "$@"; do
    [ $SECONDS -lt $end ] || { rc=-1; fail "waited in vain for: $*"; return 1; }
    sleep 0.02
  done
}
# A process has opened the pool. To ask by opening it would get in its way.
has_open() { grep -q "/$2\$" "/proc/$1/maps"; }
locked() { { "$tuff" stores "$1"; } >/dev/null 2>&1; [ $? -eq 3 ]; }
# Who was killed by timeout, which does not wait for it, may still be going.
unlocked() { ! locked "$1"; }
t=$'\t' n=$'\n'

finish() {
  echo "$checks checks, $failures failed, $skipped parts skipped"
  [ $failures -eq 0 ] || exit 1
  [ $skipped -eq 0 ] || exit 77
  exit 0
}
