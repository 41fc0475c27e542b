"""What bench/compare.sh measures: groups of cells, and the sizes and times of each mode.

A group is run as one cell (one process) for each engine and setting in turn, so that the engines of
a group are measured within a minute of one another; a round is all groups.
"""

import dataclasses

from medians import GUARDED, PEERS, TUFF

MIB = 1 << 20

# Everything that --only may name.
YCSB = [f"ycsb-{letter}" for letter in "abcdef"]
WORKLOADS = ["load", "get", "overwrite", *YCSB, "batch-100", "multiget-100", "delete-half", "scan",
             "bulk-load", "media", "reopen", "guard"]
# Rows that a workload prints, where that is not one of its own name.
ROWS_OF = {"delete-half": ["delete-half", "reinsert"], "scan": ["scan", "scan-back"],
           "media": ["load", "media-overwrite", "media-delete"],
           "reopen": ["reopen-clean", "reopen-killed"],
           "guard": ["load", "get", "overwrite"]}

MAIN = ["load", "get", "overwrite", "ycsb-a", "ycsb-b", "ycsb-c", "ycsb-e"]
ALL = ["load", "get", "overwrite", *YCSB, "batch-100", "multiget-100", "scan", "delete-half",
       "bulk-load"]
SHARED = [workload for workload in ALL if workload != "bulk-load"]  # which is one thread's


@dataclasses.dataclass(frozen=True)
class Kind:
    """Records of one size."""
    name: str
    records: int
    key_bytes: int
    value_bytes: object  # a number, or "mixed"

    def logical_bytes(self):
        mean = 2144 if self.value_bytes == "mixed" else self.value_bytes
        return self.records * (self.key_bytes + mean)


@dataclasses.dataclass(frozen=True)
class Group:
    name: str  # the rows' "set"
    kind: Kind
    workloads: list
    threads: int = 1
    engines: tuple = (TUFF, *PEERS)
    disk: bool = False  # on an ordinary file under PAGE
    seconds: float = 1.0
    load_seconds: float = 3.0
    rounds: int = 99
    pool_bytes: int = 0
    shown_as: str = ""  # what --only calls it, if not by its workloads
    on_demand: tuple = ()  # workloads that it has if --only names them

    def only(self, names):
        """This group with those workloads; None if it has none of them."""
        if self.shown_as:
            return self if self.shown_as in names else None
        left = [workload for workload in WORKLOADS
                if workload in names and workload in (*self.workloads, *self.on_demand)]
        return dataclasses.replace(self, workloads=left) if left else None

    def estimated_seconds(self):
        """Of one round, on a busy machine. The unmeasured rest of a load, sorting and closing take
        about 5 us a record."""
        rows = sum(len(ROWS_OF.get(workload, [workload])) for workload in self.workloads)
        cell = 1.1 * self.seconds * rows + 5e-6 * self.kind.records + 0.7
        if "load" in self.workloads:
            cell += self.load_seconds
        if self.shown_as == "media":
            cell = 60e-6 * self.kind.records + 1  # seven operations for each record
        return cell * len(self.engines)


@dataclasses.dataclass(frozen=True)
class Mode:
    name: str
    rounds: int
    box_seconds: int  # then no further cell begins
    limit_seconds: float  # of each measurement of bench/micro
    groups: list
    kill_after_seconds: float = 0.3  # of overwriting

    def estimated_seconds(self, groups):
        limits = (10 * self.limit_seconds + 5) * self.rounds
        return limits + sum(min(self.rounds, group.rounds) * group.estimated_seconds()
                            for group in groups)


def reopen_groups(kind, seconds):
    big, small = 8 * 1024 * MIB, 64 * MIB
    fixed = dataclasses.replace(kind, records=min(kind.records, 100_000))
    common = {"workloads": ["reopen"], "shown_as": "reopen", "seconds": seconds}
    return [
        Group("reopen", kind, **common),
        Group("reopen-64m", fixed, engines=(TUFF,), pool_bytes=small, **common),
        Group("reopen-8g", kind, engines=(TUFF,), pool_bytes=big, **common)]


def guard_group(kind, seconds, load_seconds):
    return Group("guard", kind, ["load", "get", "overwrite"], shown_as="guard", seconds=seconds,
                 load_seconds=load_seconds, engines=tuple(GUARDED))


def media_group(kind):
    return Group("media", kind, ["media"], shown_as="media", rounds=1)


def quick():
    kind = Kind("main", 200_000, 16, 100)
    times = {"seconds": 0.5, "load_seconds": 1.0}
    return Mode("quick", 1, 160, 0.3, [
        Group("main", kind, [*MAIN, "scan"], 1, on_demand=tuple(ALL), **times),
        Group("main", kind, MAIN, 2, on_demand=tuple(SHARED), **times),
        Group("1000 B", Kind("1000 B", 50_000, 16, 1000), ["load", "get", "overwrite"], 1, **times),
        Group("disk", Kind("disk", 5_000, 16, 100), ["load", "get", "overwrite"], 1, disk=True,
              seconds=0.5, load_seconds=0.5),
        media_group(Kind("media", 40_000, 16, 100)),
        *reopen_groups(Kind("reopen", 100_000, 16, 100), 1.0),
        guard_group(kind, 0.5, 1.0)])


def full():
    kind = Kind("main", 2_000_000, 16, 100)
    groups = [Group("main", kind, ALL, 1, seconds=0.8), Group("main", kind, SHARED, 2, seconds=0.8)]
    for small in (Kind("1000 B", 200_000, 16, 1000), Kind("8 B", 1_000_000, 8, 8),
                  Kind("mixed", 50_000, 16, "mixed")):
        groups.append(Group(small.name, small, MAIN, 1, seconds=0.7, load_seconds=2))
        groups.append(Group(small.name, small, ["get", "overwrite"], 2, seconds=0.7))
    groups += [
        Group("disk", Kind("disk", 10_000, 16, 100), MAIN, 1, disk=True, seconds=0.8,
              load_seconds=0.8),
        Group("disk", Kind("disk", 10_000, 16, 100), ["get", "overwrite"], 2, disk=True,
              seconds=0.8),
        media_group(Kind("media", 100_000, 16, 100)),
        *reopen_groups(Kind("reopen", 500_000, 16, 100), 1.5),
        guard_group(kind, 1.0, 3.0)]
    return Mode("full", 3, 36 * 60, 0.5, groups)


def smoke():
    """Toy size, for the test of the suite itself: every workload once; the figures mean nothing."""
    kind = Kind("main", 2_000, 16, 100)
    times = {"seconds": 0.02, "load_seconds": 0.1}
    groups = [
        Group("main", kind, ALL, 1, **times), Group("main", kind, SHARED, 2, **times),
        Group("1000 B", Kind("1000 B", 500, 16, 1000), ["load", "get", "overwrite"], 1, **times),
        Group("8 B", Kind("8 B", 500, 8, 8), ["load", "get", "overwrite"], 1, **times),
        Group("mixed", Kind("mixed", 200, 16, "mixed"), ["load", "get", "overwrite"], 1, **times),
        Group("disk", Kind("disk", 50, 16, 100), ["load", "get", "overwrite"], 1, disk=True,
              **times),
        media_group(Kind("media", 1_000, 16, 100)),
        *reopen_groups(Kind("reopen", 1_000, 16, 100), 0.05)[:1],
        guard_group(kind, 0.02, 0.1)]
    return Mode("smoke", 1, 60, 0.01, groups, kill_after_seconds=0.02)


MODES = {"quick": quick, "full": full, "smoke": smoke}
