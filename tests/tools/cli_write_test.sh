#!/bin/bash
# Runs the verbs of the program `tuff` that write or measure much at once: load in its two ways,
# batch, drop, delete of ranges, count, stats.
#
# usage: cli_write_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2154  # what cli_harness.sh sets
source "$(dirname "$0")/cli_harness.sh" "$@"

# free_frames POOL
free_frames() { "$tuff" stats "$1" --json 2>/dev/null | sed -E 's/.*"free_frames":([0-9]+).*/\1/'; }
# count_is NUMBER POOL STORE [BOUNDS...]
count_is() { ok count "${@:2}"; out_is "$1$n"; }

echo "--- load: in bulk, and in batches"
ok create pool --size 32M
awk 'BEGIN { for (i = 0; i < 5000; ++i) printf "%05d\t%0100d\n", i, i }' >sorted
ok load pool bulk sorted --format=tsv --verbose
out_has '^bulk: 5000 records, 512\.7 KiB, 5000 in bulk, 0 in batches, [0-9.]+ s$'
ok scan pool bulk; cmp -s out sorted || fail "the bulk load"
# Not empty: batches. What is there already gets the new values.
sed 's/\t0/\tx/' sorted >changed
run load pool bulk changed --format=tsv -v $fast; code 0
out_has '^bulk: 5000 records, .*, 0 in bulk, 5000 in batches,'
ok scan pool bulk; cmp -s out changed || fail "the load over it"
run load pool batches sorted --format=tsv -v --no-bulk $fast; code 0; out_has ' 0 in bulk, 5000 in batches'
ok scan pool batches; cmp -s out sorted || fail "load --no-bulk"
# The first key that does not ascend ends the bulk load; of two records with one key the later counts.
{ head -3000 sorted; head -4000 sorted | tac; printf '02999\tlast\n'; } >turns
ok load pool turns turns --format=tsv --json
out_has '"records":7001,"bytes":[0-9]+,"bulk_records":3001,.*"records":7001,"bytes":[0-9]+,"bulk_records":3001\}\]\}$'
head -4000 sorted | sed '3000s/\t.*/\tlast/' >expected
ok scan pool turns; cmp -s out expected || fail "a load whose order breaks"
printf 'a\t1\na\t2\na\t3\n' | { run load pool twice --format=tsv -v; code 0; }
out_has '^twice: 3 records, 6 B, 1 in bulk, 2 in batches'; ok scan pool twice; out_is "a${t}3$n"
# What is wrong with a record, in bulk and in a batch; what came before it is there.
printf 'a\tb\n\tb\n' | { run load pool empty_key --format=tsv; code 2; error 'line 2: .*key.*; 1 record loaded$'; }
count_is 1 pool empty_key
printf 'b\tb\na\ta\n\tb\n' | { run load pool empty_key2 --format=tsv; code 2; error 'line 3: .*key.*; 2 records loaded$'; }
count_is 2 pool empty_key2
{ printf 'b\tb\na\t'; head -c 17000 /dev/zero | tr '\0' x; echo; } |
  { run load pool too_large --format=tsv; code 2; error 'line 2: a value of 17000 bytes.*; 1 record loaded$'; }
{ cat sorted; printf 'oops\n'; } | { run load pool oops --format=tsv; code 2; error 'line 5001: no TAB.*; 5000 records loaded$'; }
ok scan pool oops; cmp -s out sorted || fail "a bulk load that ends in bad input"
ok dump pool --all; cp out all; ok create copy --size 32M; ok load copy --all all -v
out_has '^turns: 4000 records, .*, 4000 in bulk, 0 in batches$'; out_has '^total: .*, 0 in batches, [0-9.]+ s$'
ok dump copy --all; cmp -s out all || fail "dump --all | load --all"

mkfifo fifo
# begin_load STORE [WORDS...]: starts a load that has read more than a batch and waits for more.
begin_load() {
  "${ignore_nothing[@]}" "$tuff" load pool "$1" fifo --format=tsv "${@:2}" >out 2>err &
  loader=$!; children+=("$loader"); exec 9>fifo
  head -c 300000 sorted >&9
}
begin_load killed; kill -9 "$loader"; wait "$loader" 2>/dev/null; exec 9>&-
ok put pool users ada 1815; count_is 0 pool killed
begin_load killed --no-bulk; kill -9 "$loader"; wait "$loader" 2>/dev/null; exec 9>&-
ok put pool users ada 1815; ok scan pool killed; [ "$(wc -l <out)" -ge 1000 ] || fail "no batch is there"
cmp -s out <(head -"$(wc -l <out)" sorted) || fail "killed: wrong records"
begin_load int; kill -INT "$loader"; wait "$loader"; rc=$?; exec 9>&-
code 130; error 'interrupted after line [0-9]+; [0-9]+ records loaded'
loaded=$(sed -E 's/.* ([0-9]+) records loaded.*/\1/' err)
[ "$loaded" -ge 1000 ] || fail "only $loaded records"; count_is "$loaded" pool int; is_clean pool

echo "--- load: no space"
awk 'BEGIN { v = sprintf("%5000s", ""); v = v v v; for (i = 0; i < 1500; ++i) printf "%04d\t%s\n", i, v }' >much
ok create full --size 16M
run load full s much --format=tsv $fast; code 5; sed -i '/warning: /d' err
error 'line [0-9]+: .*full.*; --no-bulk keeps what fits; 0 records loaded$'; is_clean full; count_is 0 full s
ok drop full s  # which waits until the frames of the load are free again
run load full s much --format=tsv --no-bulk $fast; code 5; sed -i '/warning: /d' err
error 'line [0-9]+: .*; [0-9]+ records loaded$'
loaded=$(sed -E 's/.* ([0-9]+) records loaded.*/\1/' err); is_clean full
[ "$loaded" -ge 400 ] || fail "only $loaded records fit"
ok scan full s; cmp -s out <(head -"$loaded" much) || fail "full: wrong records"

echo "--- batch"
batch() { run batch pool "$@"; }
printf 'put b a 1\nput b c 3\n\n  # a comment\ndelete b zz\nput  b   d  4  \n' | { batch -v; code 0; quiet; }
out_is "4 operations$n"; ok scan pool b; out_is "a${t}1${n}c${t}3${n}d${t}4$n"
printf 'put\tb 2\tx y\t\ndelete\tb\tc\nput b a\\x20b \\t\n' | { batch; code 0; quiet; out_is ""; }
ok scan pool b; out_is "a${t}1${n}a b${t}\\t${n}d${t}4$n"; ok scan pool 'b 2'; out_is "x y$t$n"
printf 'put b k 1\ndelete b k\nput b k 2\nput b a 9\ndelete b a\n' | { batch; code 0; }
ok scan pool b; out_is "a b${t}\\t${n}d${t}4${n}k${t}2$n"
printf 'put b file 1' >script; ok batch pool script; ok get pool b file; out_is 1
ok batch pool - <script; ok batch pool script -v; out_is "1 operation$n"
ok batch pool -v </dev/null; out_is "0 operations$n"
# All that moves is in the one place or the other at any time.
sed 's/^/put\tmoved\t/; p; s/^put\tmoved/delete\tbulk/; s/\t[^\t]*$//' changed |
  { batch -v; code 0; out_is "10000 operations$n"; }
ok scan pool moved; cmp -s out changed || fail "moved by a batch"; count_is 0 pool bulk

# bad MESSAGE CODE [WORDS...]: a script whose first line is good, so that it would be seen.
ok dump pool --all; cp out all
bad() {
  { printf 'put b seen 1\nput newstore seen 1\n'; cat; } >script
  run batch pool script "${@:3}"; code "$2"; error "^tuff batch: script: $1; nothing was written$"
}
printf 'put b k\n' | bad 'line 3: 2 fields where put takes STORE KEY VALUE; write a blank .*' 2
printf 'put b a b c\n' | bad 'line 3: 4 fields where put takes .*' 2
printf 'delete b k v\n' | bad 'line 3: 3 fields where delete takes STORE KEY; .*' 2
printf 'put b\ta\tv\n' | bad 'line 3: "put b" is not one of put, delete' 2
printf 'put\tb\ta v\n' | bad 'line 3: 2 fields where .*; this line has TABs.*' 2
printf 'get b a\n' | bad 'line 3: "get" is not one of put, delete' 2
printf '#\nput b \\q v\n' | bad 'line 4: KEY: bad escape \\q at byte 1; .*' 2
printf 'put b k \\x1\n' | bad 'line 3: VALUE: bad escape .*' 2
printf 'put b\\z k v\n' | bad 'line 3: STORE: bad escape .*' 2
printf 'put b k v\r\n' | bad 'line 3: ends in a carriage return.*' 2
printf 'put\tb\t\tv\n' | bad 'line 3: the key is empty.*' 2
printf 'put b %02000d v\n' 0 | bad 'line 3: a key of 2000 bytes; at most 1024 .*' 2
printf 'put b k %017000d\n' 0 | bad 'line 3: a value of 17000 bytes .*' 2
printf 'delete nostore k\n' | bad 'line 3: .*nostore.*' 1
printf 'delete nostore k\n' | bad 'line 3: .*nostore.*' 1 --dry-run
printf 'put a/b k v\n' | bad 'line 3: .*/.*' 2
awk 'BEGIN { for (i = 0; i < 65535; ++i) print "put b " i " v" }' |
  bad 'line 65537: too much for one batch, .* 65536 operations and 16777216 bytes .*' 2
awk 'BEGIN { v = sprintf("%8000d", 0); v = v v; gsub(" ", "v", v); for (i = 0; i < 1100; ++i) print "put b " i, v }' |
  bad 'line 105[0-9]: too much for one batch, .*' 2
printf 'put b k v\n' | { run batch nopool; code 1; error '^tuff batch: .*nopool'; }
run batch pool nofile; code 1; error 'nofile: No such file'
run batch pool a b; code 2; error '"b" is one argument too many'
ok dump pool --all; cmp -s out all || fail "a batch that failed has written"
printf 'put new k v\n' | { batch --dry-run -v; code 0; quiet; out_is "1 operation$n"; }
ok dump pool --all; cmp -s out all || fail "a dry run has written"; is_clean pool

# A pool without room for it: not even the store is made. 14 MiB of records, in a pool of 16.
awk 'BEGIN { v = sprintf("%7500d", 0); v = v v; gsub(" ", "v", v); for (i = 0; i < 1000; ++i) print "put s " i, v }' >script
ok create small --size 16M; ok put small other k v
run batch small script $fast; code 5; sed -i '/warning: /d' err; error 'script: .*; nothing was written$'
ok stores small; out_is "other$n"; is_clean small
ok put small other k v2; ok drop small other  # whoever writes next finds the space again

echo "--- batch: killed"
# generation NUMBER: a script that sets all keys of two stores to it.
generation() {
  awk -v g="$1" 'BEGIN { for (i = 0; i < 3000; ++i) printf "put g1 %05d %050d\nput g2 %05d %050d\n", i, g, i, g }'
}
generation 0 >script
started=$(date +%s%N); run batch pool script $fast; code 0
took=$(($(date +%s%N) - started)); last=0; killed=0
for ((g = 1; g <= 15; ++g)); do
  generation $g >script
  after=$(awk -v ns=$took -v g=$g 'BEGIN { printf "%.4f", ns * g / 14 / 1e9 }')
  { timeout -s KILL "$after" "$tuff" batch pool script $fast >out 2>err; rc=$?; } 2>/dev/null
  until_true unlocked pool
  [ $rc -eq 0 ] || killed=$((killed + 1))
  for store in g1 g2; do "$tuff" scan pool $store 2>err | cut -f2 | sort | uniq -c | sed 's/^ *//; s/ 0*/ /' >$store; done
  cp g1 out; cmp -s g1 g2 || fail "generation $g: half of a batch: $(cat g1 g2)"
  checks=$((checks + 1))
  case "$(cat g1)" in
    "3000 $g") last=$g ;;
    "3000 $last" | "3000 ${last#0}") [ $rc -ne 0 ] || fail "generation $g was acknowledged" ;;
    *) fail "generation $g: not all or nothing" ;;
  esac
done
[ $killed -gt 0 ] || fail "no batch was killed"
ok put pool users ada 1815; is_clean pool

echo "--- delete: ranges"
for key in a ab abc b c; do printf 'put del %s v\n' $key; done >script
printf 'put del \\xff v\nput del \\xff\\xff v\n' >>script
# left WORDS KEYS: what a delete of a range leaves.
left() {
  ok batch pool script
  # shellcheck disable=SC2086
  ok delete pool del $1; ok scan pool del; cut -f1 out | tr '\n' ' ' >keys; cp keys out; out_is "$2"
}
left '--prefix ab' 'a b c \xff \xff\xff '
left '--prefix ab --from abb' 'a ab b c \xff \xff\xff '
left '--prefix ab --to abb' 'a abc b c \xff \xff\xff '
left '--from ab --to b' 'a b c \xff \xff\xff '
left '--to b' 'b c \xff \xff\xff '
left '--from b' 'a ab abc '
left '--from c --to b' 'a ab abc b c \xff \xff\xff '
left '--escaped --prefix \xff' 'a ab abc b c '
left '--escaped --prefix \xff\xff' 'a ab abc b c \xff '
left '--all' ''
ok batch pool script; ok delete pool del --prefix a --verbose; out_is "3 keys$n"
ok delete pool del --prefix a -v; out_is "0 keys$n"; ok delete pool del b -v; out_is "1 key$n"
run delete pool del --prefix ''; code 2; error 'exclude no key; --all says'
run delete pool del --from=; code 2; error 'exclude no key'
run delete pool del; code 2; error 'KEY is missing'
run delete pool del a --prefix a; code 2; error 'KEY and bounds exclude each other'
run delete pool nostore --prefix a; code 1; error 'nostore'
run delete pool del --prefix 'a\q' --escaped; code 2; error '--prefix: bad escape'
ok delete pool moved --from 01000 --to 04000 -v; out_is "3000 keys$n"; count_is 2000 pool moved

echo "--- count"
count_is 2 pool del --escaped --prefix '\xff'; count_is 1 pool del --to d; count_is 2000 pool moved
count_is 1000 pool moved --from 01000; count_is 10 pool moved --prefix 0000
ok create counted --size 16M; ok count counted; out_is ""; ok count counted --json; out_is "[]$n"
printf 'put one a 1\nput one b 1\nput t\\two c 1\n' | { run batch counted; code 0; }
ok count counted; out_is "2${t}one${n}1${t}t\\two$n"; ok count counted --prefix a; out_is "1${t}one${n}0${t}t\\two$n"
ok count counted --json; out_is '[{"store":"one","records":2},{"store":"t\two","records":1}]'"$n"
ok count counted one --json; out_is '{"store":"one","records":2}'"$n"
run count pool nostore; code 1; error 'nostore'
run count pool moved --escaped --from '\'; code 2; error '--from: bad escape'

echo "--- stats"
ok create measured --size 16M
printf 'put s a 12345\nput s bcd \nput t k v\n' | sed 's/d $/d \\x00/' | { run batch measured; code 0; }
ok stats measured
out_has '^size +16\.0 MiB \(16777216 bytes; frames 4096\)$'; out_has '^stores +2$'
out_has '^records +3, 12 B of keys and values$'; out_has '^overhead +[0-9.]+ bytes used'
out_has '^keys +4 B; each 1 to 3 bytes, 2\.0 on average$'
out_has '^values +6 B; each 1 to 5 bytes, 3\.0 on average$'
out_has '^first key +"a"$'; out_has '^last key +"bcd"$'; out_has '^<= 4 B +50\.0 %  1 record$'
out_has '^<= 8 B +50\.0 %  1 record$'; out_has '^<= 2 B +100\.0 %  1 record$'
ok stats measured s; ! grep -q 'overhead\|^store *t' out || fail "stats of one store has others"
ok stats measured --json
out_has '"frames":4096,"free_frames":[0-9]+,"records":3,"bytes":12,"overhead":[0-9.]+,"stores":\['
out_has '\{"store":"t","records":1,"key_bytes":1,"key_bytes_min":1,"key_bytes_max":1,"value_bytes":1,'
out_has '"first_key":"k","last_key":"k","sizes":\[\{"bytes_max":2,"records":1\}\]\}\]\}$'
ok create nothing --size 16M; ok stats nothing; out_has '^records +0, 0 B'; ok stats nothing --json
run stats pool nostore; code 1; error 'nostore'
if command -v jq >/dev/null; then
  for words in 'stats pool' 'stats nothing' 'count pool' 'count pool moved'; do
    # shellcheck disable=SC2086
    ok $words --json; jq . out >/dev/null || fail "$words --json is not JSON"
  done
fi

echo "--- drop"
ok create dropped --size 32M; ok put dropped kept a b; empty=$(free_frames dropped)
ok load dropped big sorted --format=tsv; loaded=$(free_frames dropped)
[ "$loaded" -lt $((empty - 100)) ] || fail "frames free: $empty empty, $loaded loaded"
run drop dropped nostore; code 1; error '^tuff drop: dropped: .*nostore'
ok drop dropped big; out_is ""; ok stores dropped; out_is "kept$n"
[ "$(free_frames dropped)" -ge $((empty - 4)) ] || fail "drop left $(free_frames dropped) of $empty free"
run drop dropped big; code 1; error 'big'; run get dropped big 00001; code 1; error 'big'
ok load dropped big sorted --format=tsv; ok drop dropped big --no-wait; ok stores dropped; out_is "kept$n"
ok load dropped big sorted --format=tsv; ok drop dropped big; is_clean dropped
[ "$(free_frames dropped)" -ge $((empty - 4)) ] || fail "--no-wait left $(free_frames dropped) of $empty"
# Killed at some moment: the store is whole or gone, and the next drop gets all of the space back.
for ((i = 1; i <= 8; ++i)); do
  run load dropped big sorted --format=tsv $fast; code 0
  { timeout -s KILL "0.0$i" "$tuff" drop dropped big $fast >out 2>err; } 2>/dev/null
  until_true unlocked dropped
  "$tuff" scan dropped big >out 2>err; rc=$?
  checks=$((checks + 1))
  [ $rc -eq 1 ] || cmp -s out sorted || fail "a killed drop left a part"
  [ $rc -eq 1 ] || ok drop dropped big
done
ok put dropped last a b; ok drop dropped last; is_clean dropped
[ "$(free_frames dropped)" -ge $((empty - 6)) ] || fail "killed drops left $(free_frames dropped) of $empty"

echo "--- locks"
"${ignore_nothing[@]}" "$tuff" load pool held fifo --format=tsv >held.out 2>held.err &
loader=$!; children+=("$loader"); exec 9>fifo
until_true has_open "$loader" pool
printf 'put b k v\n' >script
for words in 'batch pool script' 'batch pool script -n' 'drop pool b' 'count pool' 'stats pool' \
  'delete pool b --all'; do
  # shellcheck disable=SC2086
  run $words; code 3; error 'pool'
done
exec 9>&-; wait "$loader"; rc=$?; code 0
# A batch that waits for its input does not hold the pool.
"$tuff" batch pool fifo & writer=$!; children+=("$writer"); exec 9>fifo
ok put pool b beside 1; printf 'put b beside 2\n' >&9; exec 9>&-; wait "$writer"; rc=$?; code 0
ok get pool b beside; out_is 2; is_clean pool

finish
