#!/usr/bin/env python3
"""Runs tuff and its peers interleaved, on the same directory and the same work; prints ratios.

bench/compare.sh builds what this needs and calls it. What the figures mean: bench/README.md.
Exit status: 0; 1: something failed, or too little space; 2: usage.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import plan
import report

SKIPPED = 77  # exit status of a cell that cannot be had here
CELL_SECONDS_MAX = 180


class Interrupted(Exception):
    pass


def parse_arguments():
    parser = argparse.ArgumentParser(prog="compare.sh", description=__doc__.split("\n", 1)[0])
    mode = parser.add_mutually_exclusive_group()
    for name, text in (("quick", "the main workloads, below 3 minutes (default)"),
                       ("full", "all of it, three rounds, below 40 minutes"),
                       ("smoke", "toy size: tests the suite itself")):
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    parser.add_argument("--only", metavar="WORKLOADS", help="these, separated by commas: "
                        + " ".join(plan.WORKLOADS))
    parser.add_argument("--json", metavar="FILE", help="where the rows go")
    parser.add_argument("--dir", default="/dev/shm",
                        help="directory for forced CACHE_LINE (%(default)s)")
    parser.add_argument("--disk-dir", default="/var/tmp", help="directory for PAGE (%(default)s)")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # arguments only
    parser.add_argument("--programs", help=argparse.SUPPRESS)  # where cell and micro were built
    options = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    options.programs = options.programs or os.path.join(root, "build", "release", "bench")
    options.mode = options.mode or "quick"
    options.json = options.json or os.path.join(options.programs, f"compare-{options.mode}.json")
    options.only = options.only.split(",") if options.only is not None else None
    for name in options.only or []:
        if name not in plan.WORKLOADS:
            parser.error(f"--only: no workload '{name}'; there are {' '.join(plan.WORKLOADS)}")
    return options


class Runner:
    """Runs cells, one at a time, and keeps their rows."""

    def __init__(self, options, mode, groups):
        self.options = options
        self.mode = mode
        self.groups = groups
        self.rows = [machine_row(options, mode)]
        self.failed = False
        self.directories = {disk: os.path.join(base, f"tuff-bench.{os.getpid()}")
                            for disk, base in ((False, options.dir), (True, options.disk_dir))}
        self.child = None
        self.begin = time.monotonic()
        self.skipped = set()

    def clean_up(self):
        if self.child and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for directory in self.directories.values():
            shutil.rmtree(directory, ignore_errors=True)

    def directory(self, group):
        """Empty, for one cell."""
        directory = self.directories[group.disk]
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        return directory

    def run_all(self):
        for round_number in range(1, self.mode.rounds + 1):
            self.run_limits(round_number)
            for group in self.groups:
                if round_number > group.rounds:
                    continue
                # Another engine is first in each round.
                first = (round_number - 1) % len(group.engines)
                for engine, setting in group.engines[first:] + group.engines[:first]:
                    self.run_cell(group, engine, setting, round_number)

    def run_limits(self, round_number):
        """The machine's limits, in the same run as what is measured by them."""
        main = self.groups[0].kind.logical_bytes() * 2
        command = [os.path.join(self.options.programs, "micro"), "--dir", self.options.dir,
                   "--disk-dir", self.options.disk_dir, "--round", str(round_number),
                   "--bytes", str(max(16 * plan.MIB, main)),
                   "--seconds", str(self.mode.limit_seconds)]
        self.run(command, {"engine": "limit", "setting": "", "workload": "micro"})

    def run_cell(self, group, engine, setting, round_number):
        head = {"engine": engine, "setting": setting, "workload": ",".join(group.workloads),
                "set": group.name, "value_bytes": group.kind.value_bytes,
                "threads": group.threads, "round": round_number,
                "granularity": "page" if group.disk else "cache-line"}
        if (engine, setting) in self.skipped:
            return
        if time.monotonic() - self.begin > self.mode.box_seconds:
            self.note(head, "skipped", f"the {self.mode.box_seconds} s of this mode were over")
            return
        directory = self.directory(group)
        command = [os.path.join(self.options.programs, "cell"), "--dir", directory,
                   "--engine", engine, "--setting", setting, "--set", group.name,
                   "--records", str(group.kind.records), "--key-bytes", str(group.kind.key_bytes),
                   "--value-bytes", str(group.kind.value_bytes), "--threads", str(group.threads),
                   "--seconds", str(group.seconds), "--load-seconds", str(group.load_seconds),
                   "--granularity", head["granularity"], "--round", str(round_number)]
        if group.pool_bytes:
            command += ["--pool-bytes", str(group.pool_bytes)]
        started = time.monotonic()
        if group.workloads == ["reopen"]:
            self.reopen(command, head)
        else:
            self.run([*command, "--workloads", ",".join(group.workloads)], head)
        shutil.rmtree(directory, ignore_errors=True)
        print(f"[{time.monotonic() - self.begin:5.0f} s] round {round_number}, {group.name}, "
              f"{group.threads} thread(s), {engine} {setting}: "
              f"{time.monotonic() - started:.1f} s", file=sys.stderr)

    def reopen(self, command, head):
        if (self.run([*command, "--workloads", "fill"], head)
                and self.run([*command, "--workloads", "reopen-clean"], head)
                and self.run([*command, "--workloads", "be-killed"], head, kill=True)):
            self.run([*command, "--workloads", "reopen-killed"], head)

    def run(self, command, head, kill=False):
        """True if it went well. Its lines of JSON become rows."""
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True)
        if kill and self.child.stdout.readline():
            time.sleep(self.mode.kill_after_seconds)
            self.child.kill()
            self.child.wait()
            return True
        try:
            output, errors = self.child.communicate(timeout=CELL_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.child.kill()
            output, errors = self.child.communicate()
            errors += f"\nended after {CELL_SECONDS_MAX} s"
        self.rows += [json.loads(line) for line in output.splitlines() if line.endswith("}")]
        if self.child.returncode == 0:
            return True
        why = errors.strip().splitlines()[-1] if errors.strip() else "no message"
        if self.child.returncode == SKIPPED:
            self.skipped.add((head["engine"], head["setting"]))
            self.note(head, "skipped", why)
        else:
            self.failed = True
            self.note(head, "failed", f"status {self.child.returncode}: {why}")
        return False

    def note(self, head, what, why):
        self.rows.append({**head, what: why})
        print(f"{what.upper()} {head['engine']} {head['setting']} ({head['workload']}): {why}",
              file=sys.stderr)


def machine_row(options, mode):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"engine": "machine", "setting": "", "workload": "machine", "mode": mode.name,
            "cpu": models[0] if models else "unknown", "cpus": os.cpu_count(),
            "kernel": ".".join(platform.release().split(".")[:2]), "directory": options.dir,
            "disk_directory": options.disk_dir, "date": time.strftime("%Y-%m-%d")}


def available_bytes(directory):
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    with open("/proc/mounts", encoding="utf-8") as file:
        memory = any(line.split()[1] == directory and line.split()[2] == "tmpfs" for line in file)
    if memory:
        with open("/proc/meminfo", encoding="utf-8") as file:
            free = min(free, next(int(line.split()[1]) * 1024 for line in file
                                  if line.startswith("MemAvailable")))
    return free


def remove_what_a_killed_run_left(base):
    for name in os.listdir(base):
        prefix, _, pid = name.partition(".")
        if prefix == "tuff-bench" and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def why_no_space(options, groups):
    """What is missing, or None. Twice what the most wasteful engine was seen to take."""
    for disk, base in ((False, options.dir), (True, options.disk_dir)):
        if not os.path.isdir(base):
            return f"{base}: no such directory"
        remove_what_a_killed_run_left(base)
        sizes = [group.kind.logical_bytes() for group in groups if group.disk == disk]
        needed = 6 * max(sizes, default=0) + 512 * plan.MIB
        if available_bytes(base) < needed:
            return (f"{base}: {available_bytes(base) // plan.MIB} MiB free, "
                    f"{needed // plan.MIB} MiB needed; "
                    f"choose another by {'--disk-dir' if disk else '--dir'}")
    return None


def interrupt(_signal, _frame):
    raise Interrupted


def main():
    options = parse_arguments()
    if options.check:
        return 0
    mode = plan.MODES[options.mode]()
    groups = mode.groups if options.only is None else [
        group for group in (group.only(options.only) for group in mode.groups) if group]
    if why := why_no_space(options, groups):
        sys.exit(f"compare: {why}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    runner = Runner(options, mode, groups)
    print(f"compare: at most about {mode.estimated_seconds(groups) / 60:.0f} min; rows go to "
          f"{options.json}", file=sys.stderr)
    try:
        runner.run_all()
    except Interrupted:
        sys.exit("compare: interrupted")
    finally:
        runner.clean_up()
        report.write_rows(options.json, runner.rows)
    report.write_all(options.json, runner.rows)
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
