#!/bin/bash
# `tuff inspect map`: what it counts, on sound and damaged pools; that names cannot break out of its
# pictures; and its page, in headless Chromium. TUFF_UPDATE_DOCS=1 keeps the page's screenshot as
# docs/map.png.
#
# usage: map_test.sh TUFF
# exit: 0 all passed; 1 something failed; 77 all passed, but a part was skipped (it says which).
# shellcheck disable=SC2034,SC2154  # what cli_harness.sh shares
docs=$(realpath "$(dirname "$0")/../../docs")
source "$(dirname "$0")/cli_harness.sh" "$@"

map() { run inspect map "$@"; }
# json_is FILTER TEXT: what jq makes of standard output.
json_is() {
  checks=$((checks + 1))
  [ "$(jq -rc "$1" out)" = "$2" ] || fail "$1 is $(jq -rc "$1" out | head -c 300), not $2"
}
# records FIRST LAST VALUE_BYTES: lines of text for load.
records() { awk -v i="$1" -v n="$2" -v w="$3" 'BEGIN { for (; i < n; ++i) printf "%09d\t%0*d\n", i, w, i }'; }
# owner_word POOL PFN BYTES: overwrites the owner word of a frame of section 0.
owner_word() { printf '%b' "$3" | dd of="$1" bs=1 seek=$((128 * 4096 + 8 * $2)) conv=notrunc status=none; }

echo "--- a pool to look at"
evil='<img src=x onerror=document.title="evil">&amp;'\''\xff\xef\xbf\xbe\n{{DATA}}]]>'
ok create pool --size 256M --sparse
records 0 130000 200 | "$tuff" load pool orders --format tsv $fast 2>/dev/null
records 0 90000 300 | "$tuff" load pool sessions --format tsv $fast 2>/dev/null
records 0 60000 500 | "$tuff" load pool events --format tsv $fast 2>/dev/null
records 0 20000 700 | shuf --random-source=<(yes) |
  "$tuff" load pool users --format tsv --no-bulk $fast 2>/dev/null
run delete pool sessions --from 000030000 --to 000060000 $fast; code 0
cp pool users.pool
run put pool "$(printf '%b' "$evil")" key value $fast; code 0

echo "--- what it counts"
run stats pool --json; free=$(jq .free_frames out)
if ! command -v jq >/dev/null; then
  skip "no jq"
else
  map pool --json; code 0; quiet
  json_is .total.free "$free"
  json_is '[.total[]] | add' 65536
  json_is .blocks_per_cell 1
  json_is .damaged 0
  json_is '[.objects[] | select(.name != null) | .name] | sort | map(select(length <= 10)) | join(",")' \
    '/graveyard,events,orders,sessions,users'
  json_is '([.cells[].frames.leaf] | add) == .total.leaf' true
  json_is '[.cells[] | .frames | [.[]] | add] | unique' '[512]'
  json_is '([.objects[].frames] | add) == .total.leaf + .total.inner + .total.metadata' true
  json_is '([.runs_by_order | to_entries[] | pow(2; .key | tonumber) * .value] | add)
           == .total.leaf + .total.inner + .total.metadata' true
fi
map pool; code 0; quiet
out_has 'one cell: 1 page block'; out_has '#[LIli]{2}'; out_has '  L leaf '; out_has 'store orders$'
[ "$(wc -L <out)" -le 80 ] || [ "$(grep -v evil out | wc -L)" -le 80 ] || fail "wider than 80 columns"
run inspect map; code 2; error 'POOL is missing'
run inspect nothing pool; code 2; error '"nothing"'
run inspect map pool --format gif; code 2; error 'is not one of text, svg, html, json'
run inspect map nopool; code 1; error nopool
run inspect map /dev/null; code 2
if script -qec true /dev/null >/dev/null 2>&1; then
  LC_ALL=C.UTF-8 script -qec "stty cols 40; '$tuff' inspect map pool" /dev/null >out; rc=$?; code 0
  out_has $'\x1b\\[38;5;33m'
  grep -aq '█' out || fail "no shades on a terminal"
  [ "$(grep -a MiB out | head -4 | tail -1 | grep -ao '█' | wc -l)" -le 32 ] || fail "width"
  NO_COLOR=1 script -qec "'$tuff' inspect map pool" /dev/null >out; rc=$?; code 0
  ! grep -aq $'\x1b' out || fail "colours in spite of NO_COLOR"
else
  skip "no script(1) to make a terminal"
fi

echo "--- names"
map pool --format svg; code 0; quiet; cp out map.svg
map pool --format html; code 0; quiet; cp out map.html
! grep -q '<img' map.svg map.html || fail "a name became an element"
[ "$(grep -o '<script' map.html | wc -l)" = 2 ] || fail "scripts"
! grep -qE '(src|href) *= *"?http|url\(' map.html || fail "the page wants something else"
mkdir '<'; cp pool '</script><b>&"'
for format in svg html json text; do
  map '</script><b>&"' --format $format; code 0; quiet; cp out evil.$format
done
! grep -q 'script><b>' evil.svg evil.html || fail "a path became an element"
if command -v xmllint >/dev/null; then
  xmllint --noout map.svg evil.svg 2>err || { rc=1; fail "not XML"; }
elif command -v python3 >/dev/null; then
  python3 -c 'import sys, xml.dom.minidom as m; [m.parse(f) for f in sys.argv[1:]]' \
    map.svg evil.svg 2>err || { rc=1; fail "not XML"; }
fi

echo "--- damaged, cut off, large, in use"
cp pool bad
owner_word bad 20 '\x02\x00\x11\x00\x01\x00\x00\x00'      # a frame of the tables
owner_word bad 65500 '\xff\xff\xff\xff\xff\xff\xff\xff'   # in section 1's table: not a word
owner_word bad 31000 '\x07\x00\x00\x00\x00\x00\x00\x80'   # a wrong check byte
run inspect map bad --json; code 0; error 'damaged: 2'
json_is .damaged 2
map bad; code 0; out_has '!'
dd if=/dev/zero of=bad bs=4096 count=2 conv=notrunc status=none
run inspect map bad --json; code 0; json_is .superblocks_damaged true; json_is .frames 65536
head -c $((200 * 1048576 + 5000)) pool >short
run inspect map short --json; code 0; json_is .truncated true; json_is .total.missing 14335
head -c 100000 pool >short; run inspect map short; code 4; error 'not a tuff pool'
ok create large --size 1T --sparse
SECONDS=0
for format in text svg html json; do map large --format $format; code 0; done
[ $SECONDS -le 20 ] || fail "a sparse pool of 1 TiB took $SECONDS s"
json_is .blocks 524288; json_is .blocks_per_cell 8
map large; out_has 'one cell: 128 page blocks'
mkfifo held; "$tuff" load pool held --format tsv $fast <held >/dev/null 2>&1 & children+=($!)
exec 9>held; records 0 6000 100 >&9
until_true has_open "${children[-1]}" pool
run inspect map pool --json; code 0; error 'in use'; json_is .in_use true
exec 9>&-; until_true unlocked pool

echo "--- the page"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
browse() {
  "$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$dir/profile" \
    --virtual-time-budget=4000 --window-size=1200,720 "$@" 2>browser
}
# told SCRIPT: a copy of the page with a script behind it, which leaves its findings in the title.
told() {
  sed '/^<\/body>/,$d' map.html
  echo "<script>setTimeout(() => { $1 }, 1000)</script></body></html>"
}
page_has() {
  checks=$((checks + 1)); rc=0
  grep -qF -- "$1" dom || { grep -aoE '<title>.*|data-[a-z]+="[^"]*"' dom >out; fail "the page lacks: $1"; }
}
if [ -z "$chromium" ]; then
  skip "no Chromium"
elif ! browse --dump-dom about:blank >dom || ! grep -q '<html' dom; then
  skip "Chromium does not run here: $(tail -1 browser)"
else
  browse --dump-dom "file://$dir/map.html#pfn=1500" >dom
  page_has 'data-cells="128"'; page_has 'data-drawn="128"'
  page_has '<h2>Page block 2</h2>'; page_has "$(printf '1\xe2\x80\xaf024 – 1\xe2\x80\xaf535')"; page_has 'data-cell="2"'
  page_has '2 MiB from 0x400000'
  page_has '<bdi>store orders</bdi>'; page_has 'pool – pool map</title>'
  page_has '&lt;img src=x onerror=document.title="evil"&gt;'
  browse --dump-dom "file://$dir/evil.html" >dom
  page_has 'data-drawn="128"'; page_has '&lt;/script&gt;&lt;b&gt;&amp;" – pool map</title>'
  # Keys go from cell to cell, the pointer shows them, and there are the colours of the legend.
  told 'const map = document.getElementById("map"), box = map.getBoundingClientRect();
    for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowLeft", "+"])
      map.dispatchEvent(new KeyboardEvent("keydown", {key}));
    const at = document.getElementById("detail").dataset.cell;
    document.getElementById("fit").click();
    map.dispatchEvent(new PointerEvent("pointermove", {clientX: box.x + 80, clientY: box.y + 20}));
    const tip = document.getElementById("tip").textContent.split("\n")[0];
    setTimeout(() => {
      const pixels = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
      let tables = 0;
      for (let i = 0; i < pixels.length; i += 4)
        if (pixels[i] === 0xa3 && pixels[i + 1] === 0xad && pixels[i + 2] === 0xb8) tables++;
      document.title = ["cell " + at, tip, tables > 500 ? "tables" : "none " + tables].join("; ");
    }, 500);' >script.html
  browse --dump-dom "file://$dir/script.html" >dom
  page_has '<title>cell 1; pfn 0 – 511; tables</title>'
  map users.pool --format html; code 0; cp out map.html
  told 'document.querySelector("input[value=owner]").click()' >owners.html
  browse --screenshot="$dir/map.png" "file://$dir/owners.html#pfn=33792" >/dev/null
  checks=$((checks + 1)); rc=0
  [ "$(stat -c %s map.png 2>/dev/null || echo 0)" -ge 20000 ] || fail "no screenshot"
  if [ -n "${TUFF_UPDATE_DOCS-}" ]; then
    ! command -v optipng >/dev/null || optipng -quiet -o5 map.png
    cp map.png "$docs/map.png"
  fi
fi

finish
