#!/bin/bash
# `tuff inspect` from a shell: what it prints, as text and as JSON, of a small pool (inspect.golden,
# in which what differs from pool to pool is masked), its exit codes, and that it writes nothing.
#
# usage: cli_inspect_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# TUFF_UPDATE_GOLDEN=1: writes the golden file anew.
# shellcheck disable=SC2154  # what cli_harness.sh sets
here=$(realpath "$(dirname "$0")")
source "$here/cli_harness.sh" "$@"

whats="superblock lanes section frame node tree key buddyinfo descriptors snapshots"

# mask <TEXT: what is random or of this moment.
mask() {
  local names='checksum|hash_seed|mount_nonce|uuid|boot_id|device_id|unsafe_shutdown_count'
  names+='|number_limit'
  sed -E "s/^( *($names) +).*/\\1MASKED/; s/^( *[a-z_]+_ns +).*/\\1TIME/
          s/^(  sequence  +).*/\\1MASKED/; s/(tuffpool.*\"sequence\":)[0-9]+/\\10/
          s/\"($names)\":(\"0x[^\"]*\"|\"[0-9a-f]*\"|[0-9]+)/\"\\1\":\"MASKED\"/g
          s/\"([a-z_]+_ns)\":[0-9]+/\"\\1\":0/g; s/^ +\$//
          s/0x9(.*)clean, graveyard in use/0x1\\1clean/"  # which the next mount may find out
}
# overwrite FILE OFFSET BYTES: as printf has them.
overwrite() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

echo "--- help and usage"
ok inspect --help; out_has '^  tuff inspect superblock POOL'; out_has '^examples:'
for what in $whats; do out_has "^  tuff inspect $what POOL"; done
run inspect; code 2; error 'WHAT is missing'
run inspect lanes; code 2; error 'POOL is missing'
run inspect bogus pool; code 2; error '"bogus" is not one of superblock, lanes'
run inspect node pool; code 2; error 'node needs POOL PFN and nothing else'
run inspect lanes pool 1; code 2; error 'lanes needs POOL and nothing else'
run inspect node pool x; code 2; error '"x" is not a number'
run inspect lanes pool --hex; code 2; error 'hex is for frame and node'
run inspect lanes nosuch; code 1; error nosuch
echo text >file; run inspect lanes file; code 4; error 'not a tuff pool'

echo "--- golden output"
ok create pool --size 16M
for i in {100..399}; do echo "key$i${t}value $i"; done | ok load pool users --format tsv
ok put pool other a b
ok drop pool other  # waits until the load has left nothing in the graveyard, too
ok put pool users ada 1815
ok put pool users ada 1816
ok delete pool users key123
ok put pool users --escaped 'a\x00\xff' x
cp pool before
asked=("superblock pool" "lanes pool" "section pool 0" "frame pool 2" "frame pool 70"
       "frame pool 150" "frame pool 300" "tree pool users" "tree pool /catalogue"
       "key pool users ada" "key pool users key123" "key pool users key399" "buddyinfo pool"
       "descriptors pool" "snapshots pool")
for line in "${asked[@]}"; do
  for json in "" " --json"; do
    echo "### tuff inspect $line$json"
    # shellcheck disable=SC2086
    "$tuff" inspect $line$json 2>&1
    echo "exit $?"
  done
done | mask >found
[ -z "${TUFF_UPDATE_GOLDEN-}" ] || cp found "$here/inspect.golden"
checks=$((checks + 1))
diff "$here/inspect.golden" found || fail "the output has changed; see TUFF_UPDATE_GOLDEN"
cmp pool before || fail "inspect has written to the pool"

echo "--- keys, frames, nodes"
run inspect key pool users nosuch; code 1; error 'no such key'; out_has '^found .*no$'
run inspect key pool nosuch ada; code 1; error "no store 'nosuch'"
ok inspect key pool users --escaped 'a\x00\xff'; out_has '^value .*"x"'
out_has '"a\\x00\\xff"'
ok inspect key pool users ada --json
leaf=$(grep -oE '"pfn":[0-9]+' out | tail -1 | cut -d: -f2)
ok inspect node pool "$leaf" --hex; out_has '^ +0 .* ok .*"key100"$'; out_has '^  00000040 .*\|$'
ok inspect node pool "$leaf" --json; out_has '"base":\[\{"index":0,'
ok inspect frame pool "$(printf '0x%x' "$leaf")"; out_has "^ +child word|^ +root word"
run inspect node pool 300; code 1; error 'frame 300 is no node in use: free'
run inspect node pool 70; code 1; error 'frame 70 is no node: lane 6'
run inspect node pool 4096; code 1; error 'no frame 4096; there are 0 to 4095'
run inspect section pool 1; code 1; error 'no section 1'
run inspect frame pool 99999999999999; code 1; error 'no frame'

echo "--- damaged"
overwrite pool $((4096 * leaf + 2000)) '\x55\x55'
run inspect node pool "$leaf"; code 4; error "pfn $leaf"; out_has "^damaged: pfn $leaf"
run inspect tree pool users; code 4; error "pfn $leaf"; out_has '^height'
run inspect tree pool users --json; code 4; out_has '"damage":\["pfn'
ok inspect tree pool /catalogue
ok inspect superblock pool
overwrite pool 64 '\x55'
run inspect superblock pool; code 4; error 'copy 0 .frame 0.: the checksum is wrong'
out_has '^counts +1 \(frame 1, the mirror\)'; out_has '^copies +differ in uuid$'
overwrite pool 4160 '\x55'
ok inspect tree pool /catalogue; out_has '^note: both superblocks are damaged'
truncate -s 8M before; ok inspect lanes before; out_has '^note: the file is truncated: 2048 of 4096'

echo "--- in use, and killed"
ok create used --size 16M
mkfifo lines
"$tuff" load used users --no-bulk --format tsv $fast lines >/dev/null 2>&1 &
children+=($!)
exec 3>lines
echo "a${t}b" >&3
# Not by opening it: that might keep the loader out.
until_true has_open "${children[-1]}" used
for what in superblock lanes buddyinfo descriptors snapshots; do
  run inspect $what used; code 0; out_has "^note: in use by process ${children[-1]}: a moment"
done
ok inspect lanes used --json; out_has '"in_use":true'
kill -9 "${children[-1]}"; wait "${children[-1]}" 2>/dev/null
exec 3>&-
until_true unlocked used
ok inspect lanes used; out_has '^note: not closed cleanly'
ok inspect descriptors used; out_has 'none: the pool is not open'

finish
