#!/bin/bash
# What bash completes after `tuff`, and that man(1) shows every manual page without a warning.
#
# usage: completion_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2034,SC2154  # what cli_harness.sh shares
top=$(realpath "$(dirname "$0")/../..")
source "$(dirname "$0")/cli_harness.sh" "$@"
# shellcheck source=../../tools/tuff.bash
source "$top/tools/tuff.bash"

# completes EXPECTED WORDS...: what Tab offers for the last word, sorted.
completes() {
  checks=$((checks + 1)) rc=0
  local expected=$1
  shift
  COMP_WORDS=(tuff "$@") COMP_CWORD=$# COMPREPLY=()
  _tuff "$tuff" "${@: -1}" "" 2>err
  [ ! -s err ] || fail "$*: $(cat err)"
  local sorted
  sorted=$(printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | sort | paste -sd ' ')
  [ "$sorted" = "$expected" ] || fail "$*: completes to '$sorted', not '$expected'"
}

echo "--- completion"
"$tuff" create pool.one --size 16M --sparse
"$tuff" create 'pool two' --size 16M --sparse
for store in users usage orders 'with space' "$(printf 'with\ttab')" 'a*$(touch evil)'; do
  "$tuff" put pool.one "$store" key value $fast 2>/dev/null
done
mkdir into
completes 'stats stores' st
completes 'scan scrub' sc
completes 'count create' help c
completes '--size --sparse' create --s
completes '--size --sparse' create pool --s
completes 'dram pool' create pool --memmap ''
completes 'dram' create pool --memmap = d
completes 'byte' put --granularity = b
completes 'pool two pool.one' scan p
completes 'into' scan i
completes 'usage users' scan pool.one us
completes 'usage users' scan --limit 10 pool.one us
completes 'usage users' scan --limit = 10 --reverse pool.one us
completes 'users' scan pool.one user
completes 'users' rename pool.one user
completes '' rename pool.one users us
completes '' scan nopool us
completes '' scan pool\\\ two us
completes 'with\ space' scan pool.one wi
completes 'a\*\$\(touch\ evil\)' scan pool.one a
[ ! -e evil ] || fail "a name was run"
completes '' scan pool.one users -- --l
completes '' get pool.one users k
completes 'pool two pool.one' load pool.one users p
completes 'dump tsv' load pool.one users --format ''
completes 'map' inspect m
completes 'pool two pool.one' inspect map p
completes 'html json svg text' inspect map pool.one --format ''
completes '' bogus x
[ "$(complete -p tuff)" = "complete -F _tuff tuff" ] || fail "not registered"

echo "--- manual pages"
if ! man --version >/dev/null 2>&1; then
  skip "no man(1)"
else
  for page in "$top"/docs/man/*.1; do
    checks=$((checks + 1))
    MANWIDTH=80 man --warnings -l "$page" >out 2>err; rc=$?
    { [ $rc = 0 ] && [ ! -s err ]; } || fail "$page: $(head -c 300 err)"
    [ "$(grep -cE '^(NAME|SYNOPSIS|DESCRIPTION|OPTIONS|EXIT STATUS|EXAMPLES|SEE ALSO)$' out)" = 7 ] ||
      fail "$page: sections"
  done
fi

finish
