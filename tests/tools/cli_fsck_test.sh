#!/bin/bash
# `tuff fsck` and `tuff scrub` from a shell: exit codes, what they print, that a check writes
# nothing, that a repair can be taken back; and that the example of docs/fsck.md is true.
#
# usage: cli_fsck_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2154  # what cli_harness.sh sets
here=$(realpath "$(dirname "$0")")
source "$here/cli_harness.sh" "$@"

# overwrite FILE OFFSET BYTES: as printf has them.
overwrite() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
# leaf_of POOL KEY: the pfn of the leaf in which the store users has a key.
leaf_of() { "$tuff" inspect key "$1" users "$2" --json | grep -oE '"pfn":[0-9]+' | tail -1 | cut -d: -f2; }
sha() { sha256sum <"$1"; }
# The file is what it was when `sha` gave the second argument.
is_as() { checks=$((checks + 1)); [ "$(sha "$1")" = "$2" ] || fail "$1 has changed"; }
changed() { checks=$((checks + 1)); [ "$(sha "$1")" != "$2" ] || fail "$1 has not changed"; }
# json EXPRESSION: true of the object that was printed.
json() {
  checks=$((checks + 1))
  python3 -c 'import json, sys
o = json.load(open("out"))
assert o["schema"] == "tuff-fsck-1"
assert eval(sys.argv[1]), o' "$1" 2>>err || fail "JSON: not $1"
}
# A new pool with 2000 records.
make() {
  "$tuff" create "$1" --size 16M
  for i in {0..1999}; do printf 'key%05d\tvalue %d of a user\n' "$i" "$i"; done |
    "$tuff" load "$1" users --format tsv 2>/dev/null
  # Waits until the load has left nothing in the graveyard.
  "$tuff" put "$1" other a b
  "$tuff" drop "$1" other
}
# hold POOL: has a process write to it, until `release` kills that process.
hold() {
  mkfifo lines.$1
  "$tuff" load "$1" users --no-bulk --format tsv $fast lines.$1 >/dev/null 2>&1 &
  children+=($!)
  exec 3>lines.$1
  printf 'key00000\tchanged\n' >&3
  until_true has_open "${children[-1]}" "$1"
}
release() {
  kill -9 "${children[-1]}"; wait "${children[-1]}" 2>/dev/null
  exec 3>&-
  until_true unlocked "$1"
}

echo "--- help and usage"
ok fsck --help; out_has '^  tuff fsck \[-n \| -p \| -y\] POOL'; out_has '32 it was interrupted'
ok scrub --help; out_has '^  tuff scrub POOL'
run fsck; code 16; error 'POOL is missing'
run fsck pool --bogus; code 16; error 'unknown option'
make pool
for two in '-n -p' '-n -y' '-p -y' '-n -p -y'; do
  # shellcheck disable=SC2086
  run fsck $two pool; code 16; error '^tuff fsck: -n, -p and -y exclude each other$'
done
run fsck --undo file pool; code 16; error -- '--undo goes with -p or -y'
run fsck -n --undo file pool; code 16; error -- '--undo goes with -p or -y'
run fsck -y --revert file pool; code 16; error -- '--revert goes with no other mode'
run scrub pool -y; code 16; error 'unknown option'

echo "--- no pool"
run fsck nosuch; code 8; error 'nosuch: cannot open: No such file'
run fsck .; code 8; error '\.'
echo text >file; run fsck file; code 8; error 'not a tuff pool: only 5 bytes'
head -c 17M /dev/zero >zeros
for mode in -n -p -y; do run fsck $mode zeros; code 8; error 'zeros: not a tuff pool'; done
run fsck pool --revert nosuch; code 8; error 'nosuch: cannot open the undo file'
run fsck pool --revert file; code 8; error 'undo file'
if [ "$(id -u)" -ne 0 ]; then
  cp pool forbidden; chmod 0 forbidden; run fsck forbidden; code 8; error forbidden
fi

echo "--- sound"
before=$(sha pool)
for mode in '' -n -p -y; do
  # shellcheck disable=SC2086
  ok fsck $mode pool; out_is "$(cat out)$n"
  out_has '^pool: sound; 1 store, [0-9]+ nodes, 2000 records, [0-9]+ frames in use$'
  [ "$(wc -l <out)" -eq 1 ] || fail "more than a line of a sound pool"
  is_as pool "$before"
done
ok scrub pool; is_as pool "$before"
ok fsck -y --undo unused pool; [ ! -e unused ] || fail "an undo file of nothing"
ok fsck --json pool
json 'o["sound"] and o["exit_code"] == 0 and o["problems"] == [] and o["pool"] == "pool"'
json 'o["stores"] == 1 and o["records"] == 2000 and not o["cancelled"] and not o["recovered"]'
ok fsck --json -y pool; json 'o["pages_written"] == 0'

echo "--- damaged"
leaf=$(leaf_of pool key00100)
cp pool sound
overwrite pool $((4096 * leaf + 2000)) '\x55\x55\x55'
cp pool damaged; before=$(sha pool)
for mode in '' -n; do
  # shellcheck disable=SC2086
  run fsck $mode pool; code 4; quiet; is_as pool "$before"
  out_has "^403 node-damaged: pfn $leaf: .*\(store \"users\", keys (below|from) .*\)\$"
  out_has '^pool: 1 problem; '
  out_has '^nothing was written; to repair: tuff fsck -y --undo FILE pool$'
done
run fsck --json pool; code 4; quiet; is_as pool "$before"
json 'o["exit_code"] == 4 and o["unrepaired"] == 1 and o["pages_written"] == 0'
json "[(p['code'], p['name'], p['severity'], p['pfn'], p['object'], p['repaired'])
       for p in o['problems']] == [(403, 'node-damaged', 'loss', $leaf, 'users', False)]"
json 'o["problems"][0]["low"] <= "key00100" < o["problems"][0]["high"]'
run fsck -p pool; code 4; quiet; is_as pool "$before"
out_has '^1 left, on which data may hang; to repair: tuff fsck -y --undo FILE pool$'
run scrub pool; code 4; quiet; is_as pool "$before"
echo mine >undo
run fsck -y --undo undo pool; code 8; is_as pool "$before"
error '^tuff fsck: pool: the undo file undo is there already.*nothing was changed$'
[ "$(cat undo)" = mine ] || fail "the file that was there has changed"
rm undo
run fsck -y --undo nosuch/undo pool; code 8; error 'nosuch/undo'; is_as pool "$before"
run fsck -y --undo undo pool; code 1; quiet; changed pool "$before"
out_has '\); repaired$'; out_has '^[0-9]+ pages written; to take it back: tuff fsck pool --revert undo$'
repaired=$(sha pool)
ok fsck -y pool; out_has '^pool: sound; '; is_as pool "$repaired"
ok fsck --json pool; json 'o["sound"]'
ok get pool users key01999
ok fsck pool --revert undo; is_as pool "$before"
out_has '^pool: as it was before the repair; [0-9]+ pages written$'
ok fsck pool --revert undo; is_as pool "$before"
out_is "pool: it is as it was before the repair already$n"
run fsck -y --json pool; code 1; json 'o["pages_written"] > 0 and o["problems"][0]["repaired"]'
ok fsck pool
head -c 3000 undo >half; run fsck pool --revert half; code 8; error 'half: .*undo file'
cp undo bad; overwrite bad 200 '\x55'; run fsck pool --revert bad; code 8; error 'nothing was changed'
make other; before=$(sha other)
run fsck other --revert undo; code 8; error 'nothing was changed'; is_as other "$before"

echo "--- repaired in part"
cp damaged pool
overwrite pool 64 '\x55'
run fsck pool; code 4; out_has '^101 superblock-copy: superblock copy 0: the checksum is wrong$'
out_has '^pool: 2 problems; '
run fsck -p pool; code 5; out_has '^101 .*; repaired$'; out_has '^403 .*\)$'
out_has '^1 left, on which data may hang; '
run fsck -y pool; code 1
ok fsck pool

echo "--- truncated"
cp sound pool; truncate -s 12M pool; before=$(sha pool)
for mode in -n -p; do
  run fsck $mode pool; code 4; quiet; is_as pool "$before"
  out_has '^103 truncated: the superblock says 16777216 bytes, the file has 12582912$'
  out_has "^nothing was written: bring the file's end back, if that can be; to keep what lies in front"
done
run fsck -y --undo back pool; code 1; quiet
out_has '^103 truncated: .*; repaired$'
ok fsck pool
ok fsck pool --revert back
is_as pool "$before"

echo "--- quick"
cp sound pool; before=$(sha pool)
ok fsck --quick pool; out_has '^pool: superblocks, lanes and frame tables are sound; [0-9]* frames in use$'
overwrite pool $((1 << 12)) 'no superblock'; before=$(sha pool)
run fsck --quick pool; code 4; out_has '^101 superblock-copy: '; is_as pool "$before"
for mode in -p -y; do
  run fsck --quick $mode pool; code 16; error '--quick only checks'; is_as pool "$before"
done

echo "--- not closed cleanly, and in use"
cp sound used
hold used; before=$(sha used)
for mode in -n -p -y; do
  run fsck $mode used; code 8; error "^tuff fsck: used: .*in use"; out_is ""
done
run scrub used; code 8; error 'in use'
release used
cp used unclean; before=$(sha used)
ok fsck used; out_has '^used: sound; '; out_has '^it was not closed cleanly, which is no damage: '
is_as used "$before"
ok fsck --json used; json 'o["sound"] and o["recovered"]'; is_as used "$before"
ok fsck -p used; out_has '^used: sound; '; changed used "$before"
ok fsck used; [ "$(wc -l <out)" -eq 1 ] || fail "it is not clean"
run get used users key00000; code 0; out_has '^(changed|value 0 of a user)$'

echo "--- scrub"
cp unclean used
run get used users key00001; code 0; error 'not closed cleanly'  # a reader changes nothing
ok put used users ada 1815
ok info used; out_has '^crashed +since the last full scrub$'
ok scrub used; quiet; out_has '^used: sound; '
ok info used; out_has '^crashed +no$'
cp unclean used; ok scrub used; ok info used; out_has '^crashed +no$'; out_has '^closed +cleanly'
cp unclean used
overwrite used $((4096 * $(leaf_of used key01000) + 2000)) '\x55\x55\x55'
run scrub used; code 4
ok info used; out_has '^crashed +since the last full scrub$'

echo "--- progress"
run fsck -C pool; quiet
ok fsck -C sound; out_has '^sound: sound; '; cp out plain
if command -v script >/dev/null; then
  TERM=xterm script -qec "'$tuff' fsck -C sound >out" /dev/null >err </dev/null
  checks=$((checks + 1))
  cmp -s out plain || fail "progress went to standard output"
  checks=$((checks + 1))
  grep -q 'nodes' err || fail "no progress on a terminal"
else
  skip "progress on a terminal: no script(1)"
fi

echo "--- interrupted"
# Sent while it is blocked, the signal comes as soon as there is a handler.
ok create large --size 256M
for i in {0..99999}; do printf 'key%07d\t%0200d\n' "$i" 0; done |
  "$tuff" load large users --format tsv $fast 2>/dev/null
before=$(sha large)
for mode in -n -y; do
  # shellcheck disable=SC2016
  "${ignore_nothing[@]}" --block-signal=INT bash -c 'kill -INT $$; exec "$0" "$@"' \
    "$tuff" fsck $mode large >out 2>err
  rc=$?
  code 32; quiet; out_has '^large: interrupted after [0-9]+ nodes?; nothing was written$'
  is_as large "$before"
done
rm large

echo "--- the example of docs/fsck.md"
# Each line after "$ " is run, with the document's paths; only frames' numbers may differ.
rm pool undo
make pool
leaf=$(leaf_of pool key00100)
overwrite pool $((4096 * leaf + 2000)) "$(printf '\\x55%.0s' {1..100})"
sed -n '/^## An example/,/^## Problems/s/^    //p' "$here/../../docs/fsck.md" >example
mask() { sed -E 's/pfn [0-9]+/pfn N/'; }
rc=0
while IFS= read -r line; do
  echo "$line"
  case $line in
    '$ tuff '*)
      words=${line#'$ tuff '}
      words=${words//\/mnt\/pmem\/pool/pool}; words=${words//\/root\/pool.undo/undo2}
      # shellcheck disable=SC2086
      "$tuff" $words >got 2>&1; rc=$?
      sed 's|undo2|/root/pool.undo|g; s|^pool:|/mnt/pmem/pool:|; s| pool: | /mnt/pmem/pool: |
           s| pool\b| /mnt/pmem/pool|' got ;;
    "\$ echo \$?") echo $rc ;;
  esac
done < <(grep '^\$ ' example) >found
checks=$((checks + 1))
rc=0
diff <(mask <example) <(mask <found) || fail "docs/fsck.md does not say what tuff prints"

finish
