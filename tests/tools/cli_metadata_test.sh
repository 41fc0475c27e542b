#!/bin/bash
# Runs `tuff dump-metadata` and `tuff restore-metadata`: what is in a dump, what is not, and what
# becomes of bad ones.
#
# usage: cli_metadata_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2154  # what cli_harness.sh sets
source "$(dirname "$0")/cli_harness.sh" "$@"

lacks() { checks=$((checks + 1)); ! grep -qa "$2" "$1" || fail "$1 has $2"; }
has() { checks=$((checks + 1)); grep -qa "$2" "$1" || fail "$1 lacks $2"; }

ok create pool --size 32M --sparse
awk 'BEGIN { for (i = 0; i < 3000; ++i) printf "wellknown%05d\tsecret%050d\n", i, i }' |
  { run load pool patients --format=tsv $fast; code 0; }
ok delete pool patients wellknown00700
sha1sum pool >sum

echo "--- with keys"
ok dump-metadata pool meta; out_has '^[0-9]+ nodes, 0 of them damaged; '
lacks meta secret; has meta wellknown; has meta patients
[ "$(stat -c %s meta)" -lt 4000000 ] || fail "a dump of free frames"
run dump-metadata pool meta; code 2; error 'meta exists'
run dump-metadata none x; code 1; error none; [ ! -e x ] || fail "x is there"
"$tuff" dump-metadata pool - >meta2 2>err || fail "dump to standard output"
cmp -s meta meta2 || fail "two dumps differ"
ok restore-metadata meta copy; is_clean copy
ok count copy patients; out_is "2999$n"
ok get copy patients wellknown00100; [ "$(tr -d '\0\n' <out | wc -c)" -eq 0 ] || fail "a value is not zeros"
run get copy patients wellknown00700; code 1
run restore-metadata meta copy; code 2; error 'copy exists'
ok restore-metadata - copy2 <meta; cmp -s copy copy2 || fail "two restores differ"

echo "--- without keys"
ok dump-metadata pool hidden --hash-keys
lacks hidden secret; lacks hidden wellknown; lacks hidden patients
ok restore-metadata hidden copy3; ok stores copy3
store=$(head -1 out); ok count copy3 "$store"; out_is "2999$n"

echo "--- dumps that are bad"
for bytes in 0 10 63 64 90 5000 "$(($(stat -c %s meta) - 1))"; do
  head -c "$bytes" meta | { run restore-metadata - bad; code 4; error 'truncated|not a dump'; }
  [ ! -e bad ] || fail "bad is there"
done
{ head -c 9000 meta; printf '~'; tail -c +9002 meta; } >flipped
run restore-metadata flipped bad; code 4; error 'flipped: piece [0-9]+ of the dump is damaged'
[ ! -e bad ] || fail "bad is there"
{ cat meta; echo; } | { run restore-metadata - bad; code 4; error 'behind the end'; }
run restore-metadata none bad; code 1; error none

echo "--- a damaged pool"
cp pool broken; dd if=/dev/zero of=broken bs=4096 count=2 conv=notrunc 2>/dev/null
at=$(grep -abo 'wellknown01500' broken | head -1 | cut -d: -f1)
printf 'leaked' | dd of=broken bs=1 seek=$((at + 2)) conv=notrunc 2>/dev/null
ok dump-metadata broken broken.meta; out_has ', 1 of them damaged'; out_has 'are left out$'
lacks broken.meta leaked; lacks broken.meta secret
ok restore-metadata broken.meta broken2
run info broken2; code 4; error superblock
run salvage broken2 saved --sparse; code 4; out_has '^lost: '
ok dump-metadata broken raw --raw-damaged; out_has 'as they are$'; has raw leaked
sha1sum --quiet -c sum || fail "the pool has changed"
finish
