#!/usr/bin/env python3
"""Prints what bench/compare.sh measured, as tables and as a picture.

  bench/report.py ROWS.json                      tables, as compare.sh prints them
  bench/report.py ROWS.json --markdown           the same for a document
  bench/report.py ROWS.json --svg PICTURE.svg    the picture

Only the rows are read: they may come from another machine.
"""

import argparse
import json
import os
import sys

import picture
import targets
from medians import ENGINES, GUARDED, LMDB, PEERS, TUFF, Medians, divide, name_of, times_limit

ASSERTIONS = ("Debian builds RocksDB with assertions: without them it would be faster. "
              "LMDB: one transaction for each put.")


def number(value, digits=2):
    """With a unit's prefix, if it is large."""
    if value is None:
        return "-"
    for size, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def ratio(value):
    return "-" if value is None else f"{value:.2f} x"


def percent(value):
    return "-" if value is None else f"{100 * value:.0f} %"


class Table:
    def __init__(self, title, head, rows, note=""):
        self.title = title
        self.cells = [head, *rows]
        self.note = note

    def text(self):
        widths = [max(len(row[i]) for row in self.cells) for i in range(len(self.cells[0]))]
        lines = [self.title] + ["  " + "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in self.cells]
        return "\n".join(lines + ([f"  {self.note}"] if self.note else [])) + "\n"

    def markdown(self):
        def line(row):
            return f"| {' | '.join(row)} |"
        head = [line(self.cells[0]), "|---" + "|--:" * (len(self.cells[0]) - 1) + "|"]
        lines = [f"**{self.title}**", "", *head, *(line(row) for row in self.cells[1:])]
        return "\n".join(lines + (["", self.note] if self.note else [])) + "\n"


def title_of(medians, kind, threads):
    some = next(row for (where, _), row in medians.rows.items() if where[:2] == (kind, threads))
    on = "an ordinary file, PAGE" if some["granularity"] == "page" else "forced CACHE_LINE"
    return (f"{kind}: {some['records']:,} x ({some['key_bytes']} B, {some['value_bytes']}"
            f"{'' if some['value_bytes'] == 'mixed' else ' B'}), {on}, "
            f"{threads} thread{'s' if threads > 1 else ''}")


def throughput(medians, kind, threads):
    engines = [engine for engine in [*ENGINES, *GUARDED]
               if any((((kind, threads, workload), engine) in medians.rows)
                      for workload in medians.workloads(kind, threads))]
    head = ["ops/s", *map(name_of, engines), "/ better LMDB", "/ best peer", "x limit",
            "kept waiting"]
    tuff = next((engine for engine in engines if engine[0] == "tuff"), TUFF)
    rows = []
    for workload in medians.workloads(kind, threads):
        values = [medians.get(kind, threads, workload, engine) for engine in engines]
        row = medians.row(kind, threads, workload, tuff)
        rows.append([workload, *map(number, values),
                     ratio(medians.ratio(kind, threads, workload, LMDB)),
                     ratio(medians.ratio(kind, threads, workload, PEERS)),
                     ratio(times_limit(medians, row)), percent(row.get("kept_waiting"))])
    peers = any(engine in PEERS for engine in engines)
    return Table("Throughput, " + title_of(medians, kind, threads), head, rows,
                 ASSERTIONS if peers else "")


def details(medians, kind, threads):
    head = ["latency and cost", "engine", "p50 us", "p99 us", "p99.9 us", "fences", "flushes",
            "flushed B", "syncs", "media", "DRAM", "kept waiting"]
    rows = []
    for workload in medians.workloads(kind, threads):
        for engine in [*ENGINES, *GUARDED]:
            row = medians.row(kind, threads, workload, engine)
            if row:
                rows.append([workload, name_of(engine), *(number(row[field]) for field in (
                    "p50_us", "p99_us", "p999_us", "fences_per_op", "flushes_per_op",
                    "flushed_bytes_per_op", "syncs_per_op", "media_per_logical", "dram_bytes")),
                             percent(row["kept_waiting"])])
    return Table("Per operation, " + title_of(medians, kind, threads), head, rows)


def reopening(medians):
    head = ["reopen", "engine", "records", "first get ms", "full speed ms", "gets/s then",
            "x limit"]
    rows = []
    for (kind, _, workload), engine in medians.rows:
        if workload.startswith("reopen"):
            row = medians.row(kind, 1, workload, engine)
            rows.append([f"{workload}, {kind}", name_of(engine), number(row["records"], 0),
                         number(row["first_get_ms"]), number(row["full_speed_ms"]),
                         number(row["ops_per_s"]),
                         ratio(times_limit(medians, row)) if engine[0] == "tuff" else "-"])
    return Table("From the start of opening", head, rows) if rows else None


def limits(medians):
    head = ["limit", "bytes", "p50 ns", "GB/s", ""]
    rows = []
    for workload in medians.workloads("limits", 1):
        row = medians.row("limits", 1, workload, ("limit", ""))
        bandwidth = divide(row["value_bytes"], row["p50_us"])
        rows.append([workload, number(row["value_bytes"], 0), f"{row['p50_us'] * 1000:.1f}",
                     number(bandwidth / 1000) if bandwidth else "-", row.get("note", "")])
    return Table("What this machine can do at best", head, rows) if rows else None


def judgement(medians):
    head = ["target", "must", "goal", "measured", "verdict"]
    rows = [[t.name, f"{t.must:g} {t.unit}", f"{t.goal:g} {t.unit}",
             "-" if t.value is None else f"{t.value:.2f} {t.unit}", t.verdict()]
            for t in targets.compute(medians)]
    counts = {verdict: sum(row[-1] == verdict for row in rows)
              for verdict in ("goal met", "must met", "MISSED", "not measured")}
    kept = max((row["kept_waiting"] for row in medians.rows.values()), default=0)
    return Table("Targets (ratios: to the better of LMDB's two settings in this run)", head, rows,
                 ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
                 + f". Of a row's time, a thread was kept waiting for up to {percent(kept)}.")


def absences(medians):
    lines = dict.fromkeys(
        f"{'SKIP' if 'skipped' in row else 'FAILED'} {row['engine']} {row['setting']} "
        f"({row['workload']}): {row.get('skipped') or row.get('failed')}" for row in medians.absent)
    return "\n".join(lines) + "\n" if lines else ""


def tables(medians):
    measured = [group for group in medians.groups() if not group[0].startswith("reopen")]
    found = [throughput(medians, *group) for group in measured]
    found += [details(medians, *group) for group in measured]
    found += [reopening(medians), limits(medians), judgement(medians)]
    return [table for table in found if table]


def text_of(rows, markdown=False):
    medians = Medians(rows)
    machine = medians.machine
    rounds = max((row["rounds"] for row in medians.rows.values()), default=0)
    head = (f"{machine.get('date')}: {machine.get('cpu')}, {machine.get('cpus')} CPUs, Linux "
            f"{machine.get('kernel')}; medians of up to {rounds} round(s), "
            f"mode {machine.get('mode')}. All puts are durable on return.\n")
    parts = [table.markdown() if markdown else table.text() for table in tables(medians)]
    return "\n".join([head, *parts, absences(medians)])


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def write_all(path, rows):
    """Prints the tables and puts the picture beside the rows."""
    print(text_of(rows))
    svg = os.path.splitext(path)[0] + ".svg"
    with open(svg, "w", encoding="utf-8") as file:
        file.write(picture.draw(Medians(rows)))
    print(f"rows: {path}\npicture: {svg}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("rows", help="what compare.sh wrote")
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    parser.add_argument("--svg", metavar="FILE", help="write the picture instead")
    options = parser.parse_args()
    try:
        with open(options.rows, encoding="utf-8") as file:
            rows = json.load(file)
    except (OSError, ValueError) as error:
        parser.error(f"{options.rows}: {error}")
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(picture.draw(Medians(rows)))
    else:
        print(text_of(rows, options.markdown))


if __name__ == "__main__":
    sys.exit(main())
