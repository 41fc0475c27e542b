#!/usr/bin/env python3
"""Tests the benchmark suite at toy size: its rows, its report, its refusals. No figure is judged.

  bench_test.py DIRECTORY_OF_CELL_AND_MICRO
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

import plan
import targets
from medians import PEERS, TUFF, Medians, limit_us, times_limit

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = sys.argv.pop(1) if len(sys.argv) > 1 else ""
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
COMPARE = [sys.executable, os.path.join(HERE, "compare.py"), "--programs", PROGRAMS]


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def built_in():
    settings = json.loads(run([os.path.join(PROGRAMS, "cell"), "--list"]).stdout)
    return [engine for engine in [TUFF, *PEERS] if engine[1] in settings.get(engine[0], [])]


class SmokeRun(unittest.TestCase):
    """One run of everything, looked at from several sides."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="tuff-bench-test.")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.memory = tempfile.TemporaryDirectory(prefix="tuff-bench-test.", dir=MEMORY)
        cls.addClassCleanup(cls.memory.cleanup)
        cls.places = [cls.memory.name, os.path.join(cls.directory.name, "disk")]
        os.mkdir(cls.places[1])
        cls.json = os.path.join(cls.directory.name, "rows.json")
        cls.outcome = run([*COMPARE, "--smoke", "--dir", cls.places[0], "--disk-dir", cls.places[1],
                       "--json", cls.json])
        with open(cls.json, encoding="utf-8") as file:
            cls.rows = json.load(file)
        cls.measured = [row for row in cls.rows
                        if "ops_per_s" in row and row["engine"] != "limit"]

    def test_it_went_well_and_left_nothing(self):
        self.assertEqual(self.outcome.returncode, 0, self.outcome.stderr)
        self.assertFalse([row for row in self.rows if "failed" in row])
        for place in self.places:
            self.assertEqual(os.listdir(place), [])

    def test_every_engine_has_every_row(self):
        for group in plan.smoke().groups:
            if group.name == "guard":
                continue
            wanted = [row for workload in group.workloads
                      for row in plan.ROWS_OF.get(workload, [workload])]
            for engine in built_in():
                found = [row["workload"] for row in self.measured
                         if (row["engine"], row["setting"]) == engine
                         and (row["set"], row["threads"]) == (group.name, group.threads)]
                self.assertEqual(found, wanted, f"{engine}, {group.name}, {group.threads}")

    def test_what_is_absent_is_skipped_with_a_reason(self):
        for engine in [TUFF, *PEERS]:
            skipped = [row["skipped"] for row in self.rows
                       if (row["engine"], row["setting"]) == engine and "skipped" in row]
            self.assertEqual(bool(skipped), engine not in built_in(), f"{engine}: {skipped}")
            self.assertTrue(all(reason for reason in skipped))

    def test_figures_are_sane(self):
        for row in self.measured:
            self.assertGreater(row["ops_per_s"], 0, row)
            self.assertLessEqual(row["p50_us"], row["p99_us"], row)
            self.assertLessEqual(row["p99_us"], row["p999_us"], row)
            self.assertAlmostEqual(row["operations"] / row["seconds"] / row["ops_per_s"], 1, 2,
                                   row)
            self.assertEqual(len(row["kept_from_running"]),
                             0 if "reopen" in row["workload"] else row["threads"], row)
            if not row["workload"].startswith("reopen"):
                self.assertGreater(row["media_per_logical"], 0.9, row)

    def test_durable_puts_cost_fences_or_syncs(self):
        for row in self.measured:
            if row["workload"] not in ("overwrite", "load"):
                continue
            if row["engine"] == "tuff":
                self.assertGreaterEqual(row["fences_per_op"], 0.9, row)
            if row["engine"] != "tuff" or row["granularity"] == "page":
                self.assertGreaterEqual(row["syncs_per_op"], 0.4, row)

    def test_reads_cost_none(self):
        for row in self.measured:
            if row["workload"] in ("get", "ycsb-c", "multiget-100") and row["engine"] == "tuff":
                self.assertEqual(row["fences_per_op"], 0, row)

    def test_whole_workloads_do_all_their_work(self):
        for row in self.measured:
            if row["set"] == "media" or row["workload"] in ("reinsert", "bulk-load"):
                self.assertAlmostEqual(row["share_done"], 1, 2, row)
            if row["workload"] == "media-overwrite":
                self.assertEqual(row["operations"], 5 * row["records"])
            if row["workload"] == "media-delete":
                self.assertEqual(row["operations"], row["records"] * 9 // 10)

    def test_reopening_is_timed(self):
        for row in self.measured:
            if row["workload"].startswith("reopen"):
                self.assertGreater(row["full_speed_ms"], row["first_get_ms"], row)

    def test_limits(self):
        found = [row["workload"] for row in self.rows if row["engine"] == "limit"]
        self.assertEqual(found, ["fence", "persist-random", "persist-sequential", "persist-copy",
                                 "copy", "read-4k-pages", "read-2m-pages", "wrpkru", "sync-page"])

    def test_every_result_of_tuff_has_a_multiple_of_its_limit(self):
        medians = Medians(self.rows)
        for (where, engine), row in medians.rows.items():
            if engine[0] == "tuff":
                self.assertIsNotNone(limit_us(medians, row), where)
                self.assertGreater(times_limit(medians, row), 0, where)

    def test_the_report_tells_all(self):
        for workload in sorted({row["workload"] for row in self.measured}):
            self.assertIn(f"\n  {workload}", self.outcome.stdout)
        for target in targets.compute(Medians(self.rows)):
            self.assertRegex(self.outcome.stdout, re.escape(target.name) + r" .*"
                             r"(goal met|must met|MISSED|not measured)\n")
        self.assertIn("Debian builds RocksDB with assertions", self.outcome.stdout)
        markdown = run([sys.executable, os.path.join(HERE, "report.py"), self.json, "--markdown"])
        self.assertEqual(markdown.returncode, 0, markdown.stderr)
        self.assertIn("| target | must | goal | measured | verdict |", markdown.stdout)

    def test_the_picture_has_a_panel_for_each_workload(self):
        picture = ElementTree.parse(os.path.splitext(self.json)[0] + ".svg")
        words = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
        for workload in plan.ALL:
            self.assertIn(f"{workload} (operations/s)", words)


class Plans(unittest.TestCase):
    """What was promised to be measured is planned; a workload lost from the plan would not be
    missed by the tests above."""

    PROMISED = """load get overwrite ycsb-a ycsb-b ycsb-c ycsb-d ycsb-e ycsb-f batch-100
        multiget-100 scan delete-half bulk-load""".split()
    MAIN = "load get overwrite ycsb-a ycsb-b ycsb-c ycsb-e".split()

    @staticmethod
    def workloads(mode, name, threads):
        return next(group.workloads for group in mode.groups
                    if (group.name, group.threads) == (name, threads))

    def test_full(self):
        mode = plan.full()
        self.assertEqual(mode.rounds, 3)
        self.assertEqual(sorted(self.workloads(mode, "main", 1)), sorted(self.PROMISED))
        self.assertEqual({"bulk-load"},
                         set(self.PROMISED).symmetric_difference(self.workloads(mode, "main", 2)))
        for name in ("1000 B", "8 B", "mixed", "disk"):
            self.assertEqual(self.workloads(mode, name, 1), self.MAIN)
            self.assertLessEqual({"get", "overwrite"}, set(self.workloads(mode, name, 2)))
        self.assertLessEqual({"media", "reopen", "reopen-64m", "reopen-8g", "guard"},
                             {group.name for group in mode.groups})

    def test_quick_has_all_that_targets_need_but_the_guard(self):
        mode = plan.quick()
        for threads in (1, 2):
            self.assertLessEqual(set(self.MAIN), set(self.workloads(mode, "main", threads)))
        self.assertIn("scan", self.workloads(mode, "main", 1))
        self.assertLessEqual({"1000 B", "disk", "media", "reopen", "reopen-64m", "reopen-8g"},
                             {group.name for group in mode.groups})

    def test_they_end_in_time(self):
        for mode, minutes in ((plan.quick(), 3), (plan.full(), 40)):
            self.assertLess(mode.estimated_seconds(mode.groups), 0.9 * 60 * minutes)
            self.assertLess(mode.box_seconds, 60 * minutes)

    def test_any_workload_can_be_had_in_any_mode(self):
        for mode in (plan.quick(), plan.full()):
            for name in plan.WORKLOADS:
                self.assertTrue([group for group in mode.groups if group.only([name])], name)


class Judgement(unittest.TestCase):
    """Targets, on invented rows."""

    @staticmethod
    def rows(tuff, lmdb):
        common = {"set": "main", "threads": 1, "workload": "get", "granularity": "cache-line",
                  "records": 10, "key_bytes": 16, "value_bytes": 100, "p99_us": 1.0,
                  "kept_from_running": [0.0]}
        return ([{**common, "engine": "tuff", "setting": "default", "ops_per_s": rate}
                 for rate in tuff]
                + [{**common, "engine": "lmdb", "setting": setting, "ops_per_s": rate}
                   for setting, rate in zip(("default", "writemap"), lmdb)])

    def verdict(self, *rates):
        judged = {target.name: target for target in targets.compute(Medians(self.rows(*rates)))}
        return judged["get / LMDB, 1 thread"]

    def test_it_is_the_ratio_of_medians_to_the_better_setting(self):
        self.assertAlmostEqual(self.verdict([10, 300, 200], [50, 100]).value, 2)

    def test_verdicts(self):
        self.assertEqual(self.verdict([149], [100, 50]).verdict(), "MISSED")
        self.assertEqual(self.verdict([150], [100, 50]).verdict(), "must met")
        self.assertEqual(self.verdict([220], [100, 50]).verdict(), "goal met")
        self.assertEqual(self.verdict([220], []).verdict(), "not measured")
        lower = targets.Target("p99", 8, 4, 5, "us", lower_is_better=True)
        self.assertEqual(lower.verdict(), "must met")


class Refusals(unittest.TestCase):
    def check(self, command, status, words):
        result = run(command)
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_mistyped(self):
        cell = os.path.join(PROGRAMS, "cell")
        self.check([*COMPARE, "--only", "get,ycsb-z"], 2, ["no workload 'ycsb-z'", "ycsb-a"])
        self.check([*COMPARE, "--fast"], 2, ["--fast"])
        self.check([*COMPARE, "--quick", "--full"], 2, ["--full"])
        self.check([cell, "--dir", "/nowhere", "--workloads", "gett"], 2, ["no workload 'gett'"])
        self.check([cell, "--dir", "/nowhere", "--recrods", "1"], 2, ["no flag '--recrods'"])
        self.check([cell, "--dir", "/nowhere", "--records", "many"], 2, ["--records", "'many'"])
        self.check([cell, "--dir", "/nowhere", "--setting", "fast"], 2, ["no setting 'fast'"])
        self.check([os.path.join(PROGRAMS, "micro"), "--sec", "1"], 2, ["--sec"])

    def test_an_engine_that_is_not_built_in_is_a_skip(self):
        self.check([os.path.join(PROGRAMS, "cell"), "--dir", "/nowhere", "--engine", "dbm"], 77,
                   ["dbm is not built in"])

    def test_too_little_space(self):
        self.check([*COMPARE, "--full", "--dir", "/proc"], 1, ["/proc", "needed"])
        self.check([*COMPARE, "--full", "--dir", "/nowhere"], 1, ["/nowhere"])

    def test_an_interrupted_run_leaves_no_files(self):
        with tempfile.TemporaryDirectory(prefix="tuff-bench-test.", dir=MEMORY) as directory:
            place = os.path.join(directory, "memory")
            os.mkdir(place)
            with subprocess.Popen([*COMPARE, "--smoke", "--only", "get", "--dir", place,
                                   "--json", os.path.join(directory, "rows.json")],
                                  stderr=subprocess.PIPE, text=True) as running:
                deadline = time.monotonic() + 30
                while not os.listdir(place) and time.monotonic() < deadline:
                    time.sleep(0.01)
                self.assertTrue(os.listdir(place))
                running.send_signal(signal.SIGTERM)
                self.assertIn("interrupted", running.communicate()[1])
            self.assertEqual(running.returncode, 1)
            self.assertEqual(os.listdir(place), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
