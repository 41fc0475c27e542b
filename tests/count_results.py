#!/usr/bin/env python3
"""Counts the results of tests for tools/run_tests.sh.

  count_results.py STAGE JUNIT.xml      prints "passed N", "failed NAME" and "skipped NAME: REASON"
                                        lines for what ctest wrote
  count_results.py --sum FILE           sums such lines; the last line printed is
                                        "N passed, N failed, N skipped"; exit 1 if any failed

A GoogleTest program counts with each of its cases, of which ctest itself knows nothing.
"""

import collections
import re
import sys
import xml.etree.ElementTree as ElementTree

CASE = re.compile(r"\[ +(RUN|OK|FAILED|SKIPPED) +\] ([^ ,(]+\.[^ ,(]+)(?:,.*)?(?: \(\d+ ms\))?$")


class Counts:
    def __init__(self, stage):
        self.stage = stage
        self.passed = 0
        self.failed = []
        self.skipped = collections.Counter()  # by (test, reason)

    def add_googletest(self, test, output):
        """True if `output` is a GoogleTest program's. Cases that began and did not end failed."""
        lines = output.splitlines()
        running = None
        reason = []
        seen = False
        for line in lines:
            match = CASE.search(line)
            if not match:
                reason.append(line)
                continue
            what, case = match.groups()
            if what == "RUN":
                seen, running, reason = True, case, []
            elif case == running:
                self.add_case(f"{test} {case}", test, what, reason)
                running = None
        if running:
            self.failed.append(f"{test} {running}: did not end")
        return seen

    def add_case(self, name, test, what, output):
        if what == "OK":
            self.passed += 1
        elif what == "FAILED":
            self.failed.append(name)
        else:
            text = [line.strip() for line in output if line.strip()]
            at = next((i for i, line in enumerate(text) if line.endswith(": Skipped")), -1)
            self.skipped[(test, " ".join(text[at + 1 :]) or "no reason given")] += 1

    def add_test(self, element):
        name = element.get("name")
        output = element.findtext("system-out") or ""
        status = element.get("status")
        failed_before = len(self.failed)
        if status == "run":
            if not self.add_googletest(name, output):
                self.passed += 1
        elif status == "fail":
            self.add_googletest(name, output)
            if len(self.failed) == failed_before:  # a timeout, a leak: the program, not a case
                failure = element.find("failure")
                why = failure.get("message") if failure is not None else ""
                self.failed.append(f"{name}: {why}" if why else name)
        else:
            skipped = element.find("skipped")
            why = "" if skipped is None else skipped.get("message")
            if status == "disabled" or why.startswith("SKIP_"):
                lines = [line for line in output.splitlines() if line.strip()]
                self.skipped[(name, re.sub(r"^SKIP:? *", "", lines[-1]) if lines else why)] += 1
            else:
                self.failed.append(f"{name}: not run: {why}")

    def print(self):
        print(f"passed {self.passed}")
        for name in self.failed:
            print(f"failed {self.stage}: {name}")
        for (test, reason), n in self.skipped.items():
            print(f"skipped {n} {self.stage}: {test}: {reason}")


def sum_up(path):
    passed = skipped = 0
    failed = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            what, _, rest = line.rstrip("\n").partition(" ")
            if what == "passed":
                passed += int(rest)
            elif what == "failed":
                failed.append(rest)
            elif what == "skipped":
                n, _, name = rest.partition(" ")
                skipped += int(n)
                print(f"SKIP: {name}" + (f" ({n} cases)" if n != "1" else ""))
    for name in failed:
        print(f"FAIL: {name}")
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped")
    return 1 if failed or passed == 0 else 0


def main():
    if sys.argv[1] == "--sum":
        return sum_up(sys.argv[2])
    counts = Counts(sys.argv[1])
    for element in ElementTree.parse(sys.argv[2]).getroot().iter("testcase"):
        counts.add_test(element)
    counts.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
