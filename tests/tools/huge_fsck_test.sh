#!/bin/bash
# `tuff fsck` of a pool of 1 TiB in which little is stored: it looks at that only, so it is quick,
# takes less than 1 GiB of memory, and leaves the holes of the file alone.
#
# usage: huge_fsck_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 no file system here holds such a file.
# shellcheck disable=SC2154  # what cli_harness.sh sets
# On tmpfs a hole that is read through a mapping gets pages: there it shows.
[ -n "${TMPDIR-}" ] || { [ -w /dev/shm ] && export TMPDIR=/dev/shm; }
source "$(dirname "$0")/cli_harness.sh" "$@"

if ! "$tuff" create pool --size 1T --sparse 2>err; then
  skip "no sparse file of 1 TiB in $dir: $(cat err)"
  finish
fi
blocks() { du -k pool | cut -f1; }
# measured WORDS...: as `run`; prints the seconds that it took, and checks its memory.
measured() {
  python3 -c 'import resource, subprocess, sys, time
start = time.time()
code = subprocess.call(sys.argv[1:], stdout=open("out", "w"), stderr=open("err", "w"))
mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
print("%s: %.2f s, %d MiB" % (" ".join(sys.argv[2:]), time.time() - start, mib))
open("mib", "w").write(str(mib))
sys.exit(code)' "$tuff" "$@"
  # shellcheck disable=SC2034  # what code reads
  rc=$?
  checks=$((checks + 1))
  [ "$(cat mib)" -lt 1024 ] || fail "it took $(cat mib) MiB"
}
# damage OFFSET
damage() { printf '\x55\x55\x55' | dd of=pool bs=1 seek="$1" conv=notrunc status=none; }

for i in {0..4999}; do printf 'key%05d\tvalue %d of a user\n' "$i" "$i"; done |
  "$tuff" load pool users --format tsv $fast 2>/dev/null
before=$(blocks)
for mode in -n -p -y; do
  measured fsck $mode pool; code 0; out_has '^pool: sound; 1 store, .* 5000 records'
done
leaf=$("$tuff" inspect key pool users key00100 --json | grep -oE '"pfn":[0-9]+' | tail -1 |
  cut -d: -f2)
damage $((4096 * leaf + 2000))
measured fsck -n pool; code 4; out_has '^403 node-damaged: .*store "users"'
measured fsck -p pool; code 4
checks=$((checks + 1))
[ "$(blocks)" -eq "$before" ] || fail "a check has given pages to holes: $before, $(blocks) KiB"
measured fsck -y --undo undo pool; code 1
checks=$((checks + 1))
[ "$(blocks)" -le $((before + 4096)) ] || fail "the repair has filled holes: $before, $(blocks) KiB"
measured fsck -n pool; code 0

echo "--- both superblocks lost"
damage 64
damage 4160
measured fsck -n pool; code 4; out_has '^102 superblocks-lost'
measured fsck -y pool; code 1
measured fsck -n pool; code 0; out_has '^pool: sound; 1 store, .* 49[0-9][0-9] records'
measured fsck pool --revert undo; code 8; error 'nothing was changed'
measured scrub pool; code 0
finish
