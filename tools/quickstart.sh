#!/usr/bin/env bash
# Builds tuff and shows what it does, on real data, in ten lines.
#
# Installs what building needs, builds into build/release, makes a pool in an ordinary file below
# ${TMPDIR:-/tmp}, loads this machine's package index, reads it back and compares, kills a writer,
# and looks for every write that it had acknowledged. Leaves nothing but build/.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build
log=$PWD/build/quickstart.log
: >"$log"
dir=$(mktemp -d "${TMPDIR:-/tmp}/tuff-quickstart.XXXXXX")
writer=

finish() {
  local status=$?
  [ -z "$writer" ] || kill -9 "$writer" 2>>"$log" || true
  rm -rf "$dir"
  if [ "$status" != 0 ]; then
    printf '\nquickstart failed; the end of %s:\n' "$log" >&2
    tail -n 40 "$log" >&2
  fi
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
  echo "$*" >>"$log"
  exit 1
}
say() { printf '%-9s %s\n' "$1" "$2"; }
now() { echo "${EPOCHREALTIME/,/.}"; }
# calc FORMAT EXPRESSION: one number, as awk sees it.
calc() { LC_ALL=C awk "BEGIN { printf \"$1\", ($2) }"; }
since() { calc %.2f "$(now) - $1"; }

start=$(now)
tools/install_packages.sh program >>"$log" 2>&1
packages=$(sed -n '1s/^installing .*/installed what was missing/p; 1s/^all .*/all there/p' "$log")
tools/install_packages.sh index >>"$log" 2>&1
say packages "$packages, $(since "$start") s"

start=$(now)
# A build directory that is configured already, perhaps with tests, stays as it is.
if [ ! -f build/release/build.ninja ]; then
  cmake --preset release -DTUFF_BUILD_TESTS=OFF -DTUFF_BUILD_BENCH=OFF >>"$log" 2>&1
fi
cmake --build build/release --target tuff_cli quickstart_writer >>"$log" 2>&1
tuff=build/release/tools/tuff
say build "$tuff ($("$tuff" --version)), $(since "$start") s"

# The index as a dump, in no order, and as the lines that a dump of it must give, sorted.
read -r records bytes twice large < <(apt-cache dumpavail 2>>"$log" | perl -we '
  use strict;
  my ($load, $expected) = @ARGV;
  my ($bytes, $twice, $large, %stanza) = (0, 0, 0);
  $/ = "";  # paragraphs
  while (<STDIN>) {
    s/\n+\z//;
    my ($name) = /^Package: (\S+)/ or next;
    if (16 + length($name) + length > 16384) { $large++; next }  # kRecordSizeMax
    $twice++ if exists $stanza{$name};
    $stanza{$name} = $_;
  }
  my $line = sub { " " . unpack("H*", $_[0]) . "\n " . unpack("H*", $stanza{$_[0]}) . "\n" };
  open(my $out, ">", $load) or die "$load: $!";
  print $out "VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n";
  for (keys %stanza) { print $out $line->($_); $bytes += length($_) + length($stanza{$_}) }
  print $out "DATA=END\n";
  close $out or die "$load: $!";
  open($out, ">", $expected) or die "$expected: $!";
  print $out $line->($_) for sort keys %stanza;
  close $out or die "$expected: $!";
  print scalar(keys %stanza), " $bytes $twice $large\n";' "$dir/load" "$dir/expected")
[ "${records:-0}" -gt 0 ] || die "apt-cache dumpavail lists no packages"
mib=$(calc %.1f "$bytes / 2^20")
notes=
[ "$twice" = 0 ] || notes+="; of $twice names that come twice, the last counts"
[ "$large" = 0 ] || notes+="; $large of more than 16 KiB left out"
say data "$records records of this machine's package index, by name, $mib MiB$notes"

start=$(now)
pool=$dir/pool
size=$(calc %d "int($bytes / 2^20) * 4 + 128")
"$tuff" create "$pool" --size "${size}M" >>"$log" 2>&1
granularity=$("$tuff" info "$pool" | sed -n 's/^granularity *\([a-z-]*\).*/\1/p')
took=$(since "$start")
say pool "a file of $size MiB in ${TMPDIR:-/tmp}, granularity $granularity, made in $took s"

# How long a durable write takes here is up to the disk; from that, whether loading all in this way
# is worth the wait.
sample=500
start=$(now)
{ head -n $((4 + 2 * sample)) "$dir/load"; echo DATA=END; } |
  "$tuff" load "$pool" packages >>"$log" 2>&1
took=$(since "$start")
say put "$sample durable puts, one after the other: $(calc %.2f "1000 * $took / $sample") ms each"

how=()
note="each durable"
if [ "$(calc %d "$took * $records / $sample > 60")" = 1 ]; then
  how=(--granularity cache-line)
  minutes=$(calc %.0f "$took * $records / $sample / 60")
  note="granularity forced: waiting for the disk would take $minutes min"
fi
start=$(now)
"$tuff" load "$pool" packages "$dir/load" "${how[@]}" >>"$log" 2>&1
took=$(since "$start")
rate="$(calc %d "$records / $took")/s, $(calc %.1f "$mib / $took") MiB/s"
say load "$records puts in $took s, $rate, $note"

start=$(now)
"$tuff" dump "$pool" packages --mapsize 0 2>>"$log" >"$dir/found"
took=$(since "$start")
sed -e '1,/^HEADER=END$/d' -e '/^DATA=END$/d' "$dir/found" | cmp - "$dir/expected" >>"$log" 2>&1
rate="$(calc %d "$records / $took")/s"
say read "$records records in $took s, $rate: byte for byte what was loaded"

build/release/tools/quickstart_writer "$pool" write >"$dir/acknowledged" 2>>"$log" &
writer=$!
sleep 2
kill -9 "$writer"
wait "$writer" 2>>"$log" || true
writer=
acknowledged=$(wc -l <"$dir/acknowledged")
[ "$acknowledged" -gt 0 ] || die "the writer acknowledged nothing"
say kill "a writer of 4 threads, by SIGKILL after 2 s, when $acknowledged puts were acknowledged"

found=$(build/release/tools/quickstart_writer "$pool" verify <"$dir/acknowledged" 2>>"$log")
say reopen "$found"

"$tuff" dump "$pool" packages --mapsize 0 2>>"$log" | cmp - "$dir/found" >>"$log" 2>&1
say check "all that was there before the kill still compares equal; see README.md and docs/"
