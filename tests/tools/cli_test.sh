#!/bin/bash
# Runs the program `tuff` through every verb, every exit code that can be provoked, and every kind
# of bad input.
#
# usage: cli_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2154  # what cli_harness.sh sets
source "$(dirname "$0")/cli_harness.sh" "$@"

echo "--- help and version"
verbs="create info stats stores rename drop put get delete batch scan count load dump"
ok --version; out_has '^tuff [0-9]+\.[0-9]+\.[0-9]+$'
ok --help; cp out help
[ "$(head -1 out)" = "usage:" ] || fail "help does not begin with usage"
ok help; cmp -s out help || fail "tuff help differs from tuff --help"
for verb in $verbs; do
  grep -q "^  $verb " help || fail "--help does not list $verb"
  ok "$verb" --help; out_has "^  tuff $verb POOL"; out_has '^examples:'
  [ "$(head -1 out)" = "usage:" ] || fail "help of $verb does not begin with usage"
  run "$verb"; code 2; error "^tuff $verb: POOL is missing"
  run "$verb" pool --bogus; code 2; error "^tuff $verb: unknown option"
done
run; code 2; error 'no verb'
run bogus; code 2; error '"bogus" is not a verb'

echo "--- create"
ok create pool --size 16M --mode 0640; out_is ""
[ "$(stat -c %a,%s pool)" = "640,16777216" ] || fail "mode and size are $(stat -c %a,%s pool)"
(umask 077; "$tuff" create masked --size 16M; "$tuff" create forced_mode --size 16M --mode 0664)
[ "$(stat -c %a masked forced_mode | tr '\n' ' ')" = "600 664 " ] || fail "umask and --mode"
[ "$(du -k pool | cut -f1)" -ge 16000 ] || fail "a pool that is not sparse has no blocks"
ok create sparse --size 1g --sparse
[ "$(du -k sparse | cut -f1)" -lt 500000 ] || fail "a sparse pool has all its blocks"
ok create dram --size 16MiB --memmap dram
run create pool --size 16M; code 2; error 'pool'
run create new; code 2; error 'no --size'
run create new --size 12X; code 2; error '"12X" is not a size'
run create new --size 0; code 2; error 'at least 16M'
run create new --size 1M; code 2; error 'new'
run create new --size; code 2; error '--size needs a value'
run create new --size 16M --mode 888; code 2; error '"888" is not a mode'
run create new --size 16M --mode 0; code 2; error 'is not a mode'
run create new --size 16M --memmap disk; code 2; error 'is not one of pool, dram'
run create no/such/dir/pool --size 16M; code 1; error 'no/such/dir/pool'
[ ! -e new ] || fail "a failed create left a file"

echo "--- put, get, delete"
ok put pool users ada 1815; out_is ""
ok get pool users ada; out_is 1815
ok put pool users ada 1816; ok get pool users ada; out_is 1816
ok put pool users empty ''; ok get pool users empty; out_is ""
for word in '{}' '[a,b]' -5 'a b' stores '%%'; do
  ok put pool odd "$word" "$word"; ok get pool odd "$word"; out_is "$word"
done
ok put pool odd -- --from -x; ok get pool odd -- --from; out_is -x
ok put pool odd --escaped 'a\tb\\' '\x00\xff\n'; ok get pool odd --escaped 'a\tb\\'
[ "$(od -An -tx1 out)" = " 00 ff 0a" ] || fail "--escaped: $(od -An -tx1 out)"
head -c 10000 /dev/urandom >random
ok put pool odd random - <random; ok get pool odd random; cmp -s out random || fail "put -"
ok put pool odd --escaped dash '\x2d'; ok get pool odd dash; out_is -
ok delete pool users ada; out_is ""
run delete pool users ada; code 1; error '^tuff delete: pool: no key "ada" in store "users"$'
run get pool users ada; code 1; error '^tuff get: pool: no key "ada" in store "users"$'; out_is ""
run get pool nostore ada; code 1; error 'nostore'
run delete pool nostore ada; code 1; error 'nostore'
run get nopool users ada; code 1; error 'nopool'
run put pool users '' x; code 2; error 'key'
run put pool users "$(printf 'k%.0s' {1..2000})" x; code 2; error '^tuff put: pool: .*2000'
head -c 20000 /dev/zero >large
run put pool users large - <large; code 2; error 'standard input: more than 16384 bytes'
head -c 16368 large | { run put pool users large -; code 2; error '^tuff put: pool: .*16368'; }
head -c 16363 large | { run put pool users large -; code 0; quiet; }; ok delete pool users large
run put pool 'a/b' k v; code 2; error "^tuff put: pool: .*'/'"
run put pool users --escaped 'a\q' v; code 2; error 'KEY: bad escape \\q at byte 2'
run put pool users --escaped k 'a\x1'; code 2; error 'VALUE: bad escape'
run put pool users -x v; code 2; error 'go after --'
run put pool users k; code 2; error 'VALUE is missing'
run put pool users k - </; code 2; error 'is a directory'
run put pool users k - <&-; code 7; error 'standard input'
run get pool users a b; code 2; error '"b" is one argument too many'

echo "--- scan"
for key in a ab abc b c; do ok put pool scan $key "$key$key"; done
ok scan pool scan; out_is "a${t}aa${n}ab${t}abab${n}abc${t}abcabc${n}b${t}bb${n}c${t}cc$n"
ok scan pool scan --reverse --limit 2; out_is "c${t}cc${n}b${t}bb$n"
ok scan pool scan --from ab --to b; out_is "ab${t}abab${n}abc${t}abcabc$n"
ok scan pool scan --from ab --to b --reverse; out_is "abc${t}abcabc${n}ab${t}abab$n"
ok scan pool scan --prefix ab; out_is "ab${t}abab${n}abc${t}abcabc$n"
ok scan pool scan --prefix a --from abb; out_is "abc${t}abcabc$n"
ok scan pool scan --escaped --from '\x62' --limit 1; out_is "b${t}bb$n"
ok scan pool scan --limit 0; out_is ""
ok scan pool scan --prefix zzz; out_is ""
ok scan pool scan --json --limit 1; out_is "{\"key\":\"a\",\"value\":\"aa\"}$n"
ok put pool esc --escaped '\x00\x1b\xc2\x9b\xff' 'gr\xc3\xbcn\t\n\r\\'
ok scan pool esc; out_is '\x00\x1b\xc2\x9b\xff'"${t}"$'gr\xc3\xbcn''\t\n\r\\'"$n"
ok scan pool esc --json
out_is '{"key_base64":"ABvCm/8=","value":"'$'gr\xc3\xbcn''\t\n\r\\"}'"$n"
run scan pool nostore; code 1; error 'nostore'
run scan pool scan --limit x; code 2; error '"x" is not a number'
run scan pool scan --escaped --to '\'; code 2; error '--to: bad escape'

echo "--- stores, rename, info"
ok stores pool; out_is "esc${n}odd${n}scan${n}users$n"
ok rename pool users people; out_is ""; ok stores pool; out_is "esc${n}odd${n}people${n}scan$n"
ok get pool people empty
run rename pool users people; code 1; error 'users'
run rename pool scan people; code 2; error 'people'
ok stores pool -l; out_has '^20[0-9-]{8}T[0-9:]{8}Z  20[0-9-]{8}T[0-9:]{8}Z  people$'
ok stores pool --json; out_has '^\[\{"name":"esc","object_id":[0-9]+,.*\}\]$'
ok put pool --escaped $'\xff\x01' k v; ok stores pool; out_has '^\\xff\\x01$'
ok stores pool --json; out_has '"name_base64":"/wE="'
ok info pool; out_has '^size +16\.0 MiB \(16777216 bytes'; out_has '^closed +cleanly$'
ok info pool --json; out_has '^\{"path":"pool","uuid":"[0-9a-f-]{36}",'
out_has '"size_bytes":16777216,'; out_has '"was_clean":true,'; out_has '"read_only":true,'
if command -v jq >/dev/null; then
  for words in 'info pool' 'stores pool' 'scan pool odd'; do
    # shellcheck disable=SC2086
    ok $words --json; jq . out >/dev/null || fail "$words --json is not JSON"
  done
fi

echo "--- load and dump"
dump_of() { printf 'VERSION=3\nformat=%s\ntype=btree\nHEADER=END\n' "$1"; }
{ dump_of bytevalue; printf ' 61\n 62\n 00ff\n \nDATA=END\n'; } >d1
ok load pool l1 d1; out_has '^l1: 2 records, 4 B, [0-9.]+ s$'
ok scan pool l1; out_is '\x00\xff'"$t${n}a${t}b$n"
ok dump pool l1
out_is "$(printf 'VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=67108864\nHEADER=END\n 00ff\n \n 61\n 62\nDATA=END')$n"
cp out l1.dump
ok load pool l2 <l1.dump; ok dump pool l2; cmp -s out l1.dump || fail "dump | load | dump"
ok load pool l3 - <l1.dump; ok dump pool l3; cmp -s out l1.dump || fail "load -"
{ dump_of print; printf ' a\\\\\\0a\n b c\nDATA=END\n'; } >d2
ok load pool p1 d2; ok scan pool p1; out_is 'a\\\n'"${t}b c$n"
ok dump pool p1 -p --mapsize 1G; out_has '^mapsize=1073741824$'; out_has '^ a\\5c\\0a$'; cp out d3
ok load pool p2 d3; ok scan pool p2; out_is 'a\\\n'"${t}b c$n"
ok dump pool p1 --mapsize 0; ! grep -q mapsize out || fail "--mapsize 0 writes mapsize"
ok scan pool odd; cp out odd.tsv
ok load pool odd2 odd.tsv --format=tsv; ok scan pool odd2; cmp -s out odd.tsv || fail "tsv both ways"
ok load pool --json l1 d1
out_has '^\{"complete":true,"records":2,"bytes":4,"bulk_records":0,"seconds":[0-9.e-]+,"stores":\[\{"store":"l1","records":2,"bytes":4,"bulk_records":0\}\]\}$'
ok load pool none --format tsv </dev/null; ok stores pool; out_has '^none$'
{ dump_of print; printf 'DATA=END\n'; } | { run load pool none2; code 0; }
ok stores pool; out_has '^none2$'

{ for name in one two; do
  printf 'VERSION=3\nformat=print\ndatabase=%s\nHEADER=END\n %s\n v\nDATA=END\n' $name $name
done; } >both
run load pool x both; code 2; error 'line 11: a second database, "two".*--all.*1 record loaded'
ok load pool --all both; ok get pool two two; out_is v; ok scan pool one; out_is "one${t}v$n"
ok load pool picked both --database two; ok scan pool picked; out_is "two${t}v$n"
run load pool picked both --database three; code 1; error 'no database "three"'
run load pool --all d1; code 2; error 'without a line database='
ok create copy --size 16M; ok dump pool --all; cp out all; ok load copy --all all
ok dump copy --all; cmp -s out all || fail "dump --all | load --all | dump --all"
is_clean pool; is_clean copy

echo "--- load: bad input"
# bad MESSAGE [WORDS...]: loads standard input.
bad() { local message=$1; shift; run load pool bad "$@"; code 2; error "$message"; }
run load pool bad nofile; code 1; error 'nofile: No such file'
run load pool bad /; code 2; error 'is a directory'
bad 'empty input' </dev/null
bad 'line 1: .*--format=tsv' <odd.tsv
head -3 d1 | bad 'line 3: the input ends in the header'
head -4 d1 | bad 'line 4: the input ends before DATA=END.*0 records loaded'
head -5 d1 | bad 'line 5: the input ends before DATA=END'
head -6 d1 | bad 'line 6: the input ends before DATA=END.*1 record loaded'
head -c -2 d1 | bad '.'
sed 's/^ 62/ 6/' d1 | bad 'line 6: an odd number of hex digits; 0 records loaded'
sed 's/^ 62/ 6x/' d1 | bad 'line 6: "x" at column 3 is not a hex digit'
sed 's/^ 00ff/00ff/' d1 | bad 'line 7: "00ff" where.*1 record loaded'
sed 's/^ 00ff/ /' d1 | bad 'line 8: .*1 record loaded'
sed '/^ $/d' d1 | bad 'line 8: DATA=END between a key and its value'
sed 's/=3/=9/' d1 | bad 'line 1: .*version'
sed 's/bytevalue/octal/' d1 | bad 'line 2: format "octal"'
sed '/format/d' d1 | bad 'no line format='
sed 's/btree/recno/' d1 | bad 'db_dump -k'
sed 's/type=btree/duplicates=1/; s/00ff/61/' d1 | bad 'line 7: a second value for the key "a"'
sed 's/b c/b\\zz/' d2 | bad 'line 6: bad escape \\zz at column 3'
printf 'a\tb\nc\n' | bad 'line 2: no TAB.*1 record loaded' --format=tsv
printf 'a\tb\tc\n' | bad 'line 1: more than one TAB' --format=tsv
printf 'a\tb\r\n' | bad 'line 1: ends in a carriage return' --format=tsv
printf 'a\tb\\q\n' | bad 'line 1: value: bad escape \\q' --format=tsv
printf '\tb\n' | bad 'line 1: .*key' --format=tsv
{ printf 'k\tv\nlarge\t'; tr '\0' x <large; echo; } | bad 'line 2: .*1 record loaded' --format=tsv
run load pool bad --format=csv; code 2; error 'is not one of dump, tsv'
run load pool; code 2; error 'STORE is missing'
run load pool --all s f; code 2; error 'takes no STORE'
run load pool --all --format=tsv; code 2; error 'has no databases'
run load pool s --database d --format=tsv; code 2; error '--database'
run dump pool; code 2; error 'STORE is missing'
run dump pool --all x; code 2; error 'takes no STORE'
run dump pool nostore; code 1; error 'nostore'
head -6 d1 | { run load pool bad --json; code 2; out_has '"complete":false,"records":1,'; }
is_clean pool

echo "--- LMDB"
if command -v mdb_load >/dev/null && command -v mdb_dump >/dev/null; then
  mkdir lmdb lmdb2 lmdb3 lmdb4
  # Records of up to 99 random bytes, and some with every byte there is.
  awk 'BEGIN {
    srand(1); for (i = 0; i < 256; ++i) all = all sprintf("\\x%02x", i)
    for (i = 0; i < 600; ++i) {
      v = ""; for (j = rand() * 33; j > 0; --j) v = v sprintf("\\x%02x", rand() * 256)
      printf "%05d\\x%02x\t%s\n", i, rand() * 256, i % 100 ? v : all
    }
  }' >random.tsv
  ok load pool lmdb random.tsv --format=tsv; ok dump pool lmdb; cp out mine
  "$tuff" dump pool lmdb | mdb_load lmdb 2>err; rc=$?; code 0
  mdb_dump lmdb >out; sed '/^mapsize\|^maxreaders\|^db_pagesize/d' out >theirs
  sed -i /^mapsize/d mine; cmp -s mine theirs || fail "tuff dump | mdb_load | mdb_dump"
  mdb_dump lmdb | { run load pool back; code 0; quiet; }
  ok dump pool back; sed /^mapsize/d out | cmp -s - mine || fail "mdb_dump | tuff load | tuff dump"
  # With -p: Debian's mdb_dump 0.9.24 does not escape backslashes, so only what has none goes back.
  grep -v '\\x5c' random.tsv | { run load pool plain --format=tsv; code 0; }
  ok dump pool plain; sed /^mapsize/d out >mine
  "$tuff" dump pool plain -p | mdb_load lmdb2 2>err; rc=$?; code 0
  mdb_dump lmdb2 | sed '/^mapsize\|^maxreaders\|^db_pagesize/d' | cmp -s - mine ||
    fail "tuff dump -p | mdb_load | mdb_dump"
  mdb_dump -p lmdb2 | { run load pool plain2; code 0; quiet; }
  ok dump pool plain2; sed /^mapsize/d out | cmp -s - mine || fail "mdb_dump -p | tuff load"
  # A backslash that tuff dump -p writes is one in LMDB.
  "$tuff" dump pool p1 -p | mdb_load lmdb3; mdb_dump lmdb3 >out; out_has '^ 615c0a$'
  # Named databases, both ways.
  "$tuff" dump copy --all | grep -v '^database=$' >named
  ok load pool --all both; { "$tuff" dump pool one; "$tuff" dump pool two; } >/dev/null
  ok create pair --size 16M; ok load pair --all both
  "$tuff" dump pair --all | mdb_load lmdb4 2>err; rc=$?; code 0
  mdb_dump -a lmdb4 >pair.dump; ok create pair2 --size 16M; ok load pair2 --all pair.dump
  ok scan pair2 two; out_is "two${t}v$n"; ok stores pair2; out_is "one${n}two$n"
  mdb_dump -s two lmdb4 | { run load pair2 three; code 0; }; ok get pair2 three two; out_is v
  # More than the 10 MiB that mdb_load has without mapsize=.
  ok create larger --size 64M --sparse
  awk 'BEGIN { v = sprintf("%5000s", ""); v = v v v; for (i = 0; i < 1000; ++i) printf "%04d\t%s\n", i, v }' |
    { run load larger big --format=tsv $fast; code 0; }
  mkdir lmdb5; "$tuff" dump larger big | mdb_load lmdb5 2>err; rc=$?; code 0
  [ "$(mdb_dump lmdb5 | grep -c '^ ')" -eq 2000 ] || fail "mdb_load of 15 MB"
else
  skip "lmdb-utils is not installed; load and dump are not tried against LMDB"
fi

echo "--- standard output"
run_to() { "$tuff" scan pool scan >"$1" 2>err; rc=$?; : >out; }
if [ -w /dev/full ]; then run_to /dev/full; code 7; error 'standard output: No space left'; fi
"$tuff" scan pool scan >&- 2>err; rc=$?; : >out; code 7; error 'standard output'
"$tuff" info pool >&- 2>err; rc=$?; code 7; error 'standard output'
mkfifo closed; exec 7<>closed; exec 8>closed 7<&-  # a pipe whose reader has gone
"$tuff" scan pool scan >&8 2>err; rc=$?; exec 8>&-; code 7; quiet
is_clean pool

echo "--- locks"
mkfifo fifo
"${ignore_nothing[@]}" "$tuff" load pool held fifo --format=tsv >held.out 2>held.err &
loader=$!; children+=("$loader"); exec 9>fifo
until_true has_open "$loader" pool
for words in 'get pool scan a' 'put pool scan a b' 'scan pool scan' 'stores pool' 'load pool x d1'; do
  # shellcheck disable=SC2086
  run $words; code 3; error 'pool'
done
ok info pool; out_has "^in use +by process $loader;"; out_has '^snapshots +none$'
ok info pool --json; out_has '"in_use":true'; out_has '"snapshots":0'
exec 9>&-; wait "$loader"; rc=$?; code 0
# Readers share.
awk 'BEGIN { for (i = 0; i < 4000; ++i) printf "%05d\t%0100d\n", i, i }' >many.tsv
run load pool many many.tsv --format=tsv $fast; code 0
mkfifo slow; "$tuff" scan pool many >slow & reader=$!; children+=("$reader")
exec 9<slow; read -r line <&9  # it is in the middle of it: a pipe holds only 64 KiB
ok get pool scan a; out_is aa
run put pool scan a b; code 3; error 'pool'
cat <&9 >rest; exec 9<&-; wait "$reader"; rc=$?; code 0
{ echo "$line"; cat rest; } | cmp -s - many.tsv || fail "the slow scan"

echo "--- signals"
# begin_load STORE [WORDS...]: starts a load of which the pipe holds 64 KiB at most, and the last
# reading as much: it has written 2500 records, more than a batch, and waits for more.
begin_load() {
  "${ignore_nothing[@]}" "$tuff" load pool "$1" fifo --format=tsv "${@:2}" >out 2>err &
  loader=$!; children+=("$loader"); exec 9>fifo
  head -c 400000 many.tsv >&9
}
begin_load int; kill -INT "$loader"; wait "$loader"; rc=$?; exec 9>&-
code 130; error 'interrupted after line [0-9]+; [0-9]+ records loaded; pool is closed cleanly'
loaded=$(sed -E 's/.* ([0-9]+) records loaded.*/\1/' err)
[ "$loaded" -ge 500 ] || fail "only $loaded records were loaded"
is_clean pool; ok scan pool int; [ "$(wc -l <out)" -eq "$loaded" ] || fail "it is not $loaded records"
cmp -s out <(head -"$loaded" many.tsv) || fail "interrupted: wrong records"
begin_load term; kill -TERM "$loader"; wait "$loader"; rc=$?; exec 9>&-
code 143; error 'interrupted'; is_clean pool
# An interrupted dump lacks its last line. (The reader empties the pipe after the signal only.)
"${ignore_nothing[@]}" "$tuff" dump pool many >slow 2>err & dumper=$!; children+=("$dumper")
exec 9<slow; read -r line <&9; kill -INT "$dumper"; cat <&9 >out; exec 9<&-
wait "$dumper"; rc=$?; code 130; error 'interrupted; the dump is incomplete: [0-9]+ records written'
! grep -q DATA=END out || fail "an interrupted dump ends as if it were whole"
(trap '' INT; exec "$tuff" load pool ign fifo --format=tsv >out 2>err) & loader=$!
children+=("$loader"); exec 9>fifo; until_true has_open "$loader" pool
kill -INT "$loader"; printf 'k\tv\n' >&9; exec 9>&-; wait "$loader"; rc=$?; code 0; quiet
ok get pool ign k; out_is v

echo "--- a pool that was not closed cleanly"
begin_load killed --no-bulk; kill -9 "$loader"; wait "$loader" 2>/dev/null; exec 9>&-
# Who only reads leaves it so, however often, and needs no permission to write.
before=$(sha256sum pool; stat -c %y pool)
unclean='warning: pool: was not closed cleanly; recovered in memory .*, the file is unchanged'
run get pool killed 00000; code 0; error "$unclean"; out_has '0{100}'
run scan pool killed; code 0; error "$unclean"; cp out killed.tsv
[ "$(wc -l <out)" -ge 1000 ] || fail "only $(wc -l <out) records were loaded"
cmp -s out <(head -"$(wc -l <out)" many.tsv) || fail "killed: wrong records"
run dump pool killed; code 0; error "$unclean"
run stores pool --read-only; code 0; error "$unclean"; out_has '^killed$'
chmod 400 pool
for i in 1 2; do
  run info pool; code 0; error "$unclean"; out_has '^closed +not cleanly; recovered in memory'
  out_has '^recovery +changes of structure .*: [0-9]+, batches completed: [0-9]+$'
done
run info pool --json; code 0; out_has '"was_clean":false,"recovered_in_memory":true,'
out_has '"lanes_recovered":[0-9]+,"batches_replayed":[0-9]+,"crashed'
out_has '"read_only":true,'; out_has '"crashed_since_scrub":true,'
chmod 600 pool
[ "$(sha256sum pool; stat -c %y pool)" = "$before" ] || fail "reading has changed the file"
ok put pool users recovered yes; ok get pool users recovered; out_is yes
[ "$(sha256sum pool)" != "${before%%$n*}" ] || fail "the file is still as it was"
ok scan pool killed; cmp -s out killed.tsv || fail "reading and recovering find different records"
is_clean pool; out_has '"recovered_in_memory":false,'; ok info pool --read-only
# Names of stores that are more than one write to standard output takes.
for i in {100..450}; do
  printf 'VERSION=3\nformat=print\ndatabase=%s%0240d\nHEADER=END\nDATA=END\n' "$i" 0
done | { run load pool --all; code 0; }
begin_load killed --no-bulk; kill -9 "$loader"; wait "$loader" 2>/dev/null; exec 9>&-
# Recovering opens the pool for writing: its descriptor must not be that of standard output.
cp pool unclean; "$tuff" load unclean l1 d1 >&- 2>err; rc=$?; code 7; ok scan unclean many
cp pool unclean; "$tuff" stores unclean >&- 2>err; rc=$?; code 7
sed -i '/warning: /d' err; error 'standard output'; cmp -s pool unclean || fail "stores has written"
for guard in mprotect none; do
  cp pool unclean; ok put unclean users k v --guard $guard; is_clean unclean
done
ok delete pool users recovered; is_clean pool; out_has '"crashed_since_scrub":true,'

echo "--- damage"
head -c 16M /dev/urandom >garbage; run info garbage; code 4; error 'garbage'
: >nothing; run info nothing; code 4; error 'nothing'
echo text >text; run get text s k; code 4; error 'text'
cp pool short; truncate -s 8M short; run scan short scan; code 4; error 'short'
cp pool zeroed; dd if=/dev/zero of=zeroed bs=1M count=1 conv=notrunc 2>/dev/null
run stores zeroed; code 4; error 'zeroed'
run info .; [ "$rc" -ne 0 ] || fail "a directory is a pool"; error '.'
run info $'new\nline'; code 1; error 'new\\nline'

echo "--- no space"
awk 'BEGIN { v = sprintf("%5000s", ""); v = v v v; for (i = 0; i < 1500; ++i) printf "%04d\t%s\n", i, v }' >much
ok create full --size 16M
run load full s much --format=tsv $fast; code 5
sed -i '/warning: /d' err; error 'line [0-9]+: .*[0-9]+ records loaded'
loaded=$(sed -E 's/.* ([0-9]+) records loaded.*/\1/' err)
is_clean full; ok scan full s; [ "$(wc -l <out)" -eq "$loaded" ] || fail "it is not $loaded records"

echo "--- permission"
unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" -ne 0 ]; then unprivileged=(); fi
chmod 755 "$dir"; chmod 600 pool
[ "$(id -u)" -eq 0 ] || chmod 000 pool
if [ "$(id -u)" -ne 0 ] || "${unprivileged[@]}" test -x "$tuff" 2>/dev/null; then
  for words in 'get pool scan a' 'put pool scan a b' 'info pool'; do
    # shellcheck disable=SC2086
    ${unprivileged[@]+"${unprivileged[@]}"} "$tuff" $words >out 2>err; rc=$?; code 6; error 'pool'
  done
else
  skip "user 65534 cannot run $tuff; exit code 6 for lack of permission is not tried"
fi
chmod 600 pool

echo "--- options for opening"
ok get pool scan a --guard none; ok get pool scan a --guard auto; ok get pool scan a --guard=mprotect
ok put pool scan a aa --guard mprotect
run get pool scan a --guard=brick; code 2; error 'is not one of auto, pkey, mprotect, none'
run get pool scan a --granularity=bit; code 2; error 'is not one of byte, cache-line, page'
ok info dram --json; out_has '"ever_forced":false'
if grep -q '"medium_granularity":"page"' out; then
  run create forced --size 16M --granularity=byte; code 0; error '^tuff create: warning: '
  for granularity in byte cache-line; do
    run put dram s k v --granularity=$granularity; code 0; error '^tuff put: warning: '
    run info dram --json --granularity=$granularity
    out_has "\"granularity\":\"$granularity\""; out_has '"ever_forced":true'
  done
else
  skip "this medium needs no sync of pages; forcing a granularity is not tried"
fi
ok put dram s k v --granularity=page

echo "--- progress"
# `script` runs a command on a terminal; ours has a progress line there, and no other.
if command -v script >/dev/null && script --version | grep -q util-linux; then
  head -100 many.tsv >few.tsv
  script -qec "'$tuff' load pool few few.tsv --format=tsv" /dev/null </dev/null >out 2>err; rc=$?
  code 0; out_has 'few \[=*>? *\] +[0-9]+%  [0-9]+ records?  '; out_has 'few: 100 records, '
  script -qec "'$tuff' dump pool many >dumped" /dev/null </dev/null >out 2>err; rc=$?
  code 0; out_has 'many  [0-9]+ records?  '
  script -qec "TERM=dumb '$tuff' load pool few few.tsv --format=tsv" /dev/null </dev/null >out; rc=$?
  code 0; ! grep -q '%' out || fail "a progress line on a dumb terminal"
  script -qec "'$tuff' dump pool many" /dev/null </dev/null >out; rc=$?
  code 0; ! grep -q 'many  [0-9]' out || fail "a progress line among the records"
  ok load pool few few.tsv --format=tsv  # no terminal, no progress: ok checks that err is empty
else
  skip "there is no util-linux script; the progress line is not tried"
fi

finish
