#!/bin/bash
# Runs `tuff salvage`: what is whole, what is lost, and what is left of a salvage that fails.
#
# usage: cli_salvage_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2154  # what cli_harness.sh sets
source "$(dirname "$0")/cli_harness.sh" "$@"

# frame FILE PFN COUNT: overwrites frames with what is nothing.
frame() { yes '~~~~~~~' | dd of="$1" bs=4096 seek="$2" count="$3" iflag=fullblock conv=notrunc 2>/dev/null; }
same_store() {
  ok scan "$1" "$3"; cp out expected
  ok scan "$2" "$3"; cmp -s out expected || fail "$3 differs"
}

ok create pool --size 32M --sparse
awk 'BEGIN { for (i = 0; i < 5000; ++i) printf "key%05d\t%0100d\n", i, i }' |
  { run load pool users --format=tsv $fast; code 0; }
ok put pool other ada 1815
ok delete pool users key00700
sha1sum pool >sum

echo "--- a pool that is whole"
ok salvage pool saved --sparse
out_is "users: 4999 records, 0 lost, 0 doubtful${n}other: 1 record, 0 lost, 0 doubtful${n}total: 5000 records, 0 lost, 0 doubtful$n"
same_store pool saved users; same_store pool saved other; is_clean saved
run salvage pool saved; code 2; error 'saved: .*exists'
run salvage none new; code 1; error 'none: '
run salvage pool; code 2; error NEW
run salvage pool new --size 1M; code 2; error '16777216'; [ ! -e new ] || fail "new is there"

echo "--- both superblocks and the catalogue's anchor gone"
cp pool headless; frame headless 0 3
run info headless; code 4; error 'superblock'
ok salvage headless saved2 --sparse --json; out_has '"whole":true,"records":5000'
out_has '"findings":\[\{"kind":"note","reason":"both superblocks'
same_store pool saved2 users; same_store pool saved2 other

echo "--- a leaf gone"
leaf=$(grep -abo 'key00900' pool | head -1 | cut -d: -f1)
cp pool broken; frame broken $((leaf / 4096)) 1
run salvage broken saved3 --sparse --list list; code 4; error "broken: [0-9]+ ranges or names are lost.* is in saved3$"
out_has '^users: 4[0-9]+ records, 1 lost, 0 doubtful$'
out_has "^lost: users: keys from 'key[0-9]+' to before 'key[0-9]+': leaf [0-9]+ is damaged; 0 records in it are whole"
grep -q "^lost: users: " list || fail "the list lacks what is lost"
is_clean saved3; same_store pool saved3 other
run salvage pool saved4 --list /nowhere/list; code 7; error '/nowhere/list'; [ ! -e saved4 ] || fail "saved4 is there"

echo "--- a new pool that is too small"
awk 'BEGIN { for (i = 0; i < 60000; ++i) printf "key%05d\t%0300d\n", i, i }' >many
ok create large --size 64M --sparse; run load large users many --format=tsv $fast; code 0
run salvage large small --size 16M --sparse; code 5; error 'full|space'
[ ! -e small ] || fail "small is there"
sha1sum --quiet -c sum || fail "the old pool has changed"
finish
