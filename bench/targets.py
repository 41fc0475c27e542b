"""What tuff is to reach: figures that it must, and figures that it aims at."""

import dataclasses

from medians import GUARDED, LMDB, ROCKSDB, TUFF, divide


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    must: float
    goal: float
    value: float  # None: not measured
    unit: str = "x"
    lower_is_better: bool = False

    def reached(self, wanted):
        return self.value <= wanted if self.lower_is_better else self.value >= wanted

    def verdict(self):
        if self.value is None:
            return "not measured"
        if self.reached(self.goal):
            return "goal met"
        return "must met" if self.reached(self.must) else "MISSED"


def to_lmdb(medians):
    def target(name, must, goal, workload, threads=1, kind="main"):
        return Target(f"{name}, {threads} thread{'s' if threads > 1 else ''}", must, goal,
                      medians.ratio(kind, threads, workload, LMDB))

    for threads in (1, 2):
        yield target("get / LMDB", 1.5, 2.2, "get", threads)
        yield target("YCSB C / LMDB", 1.5, 2.2, "ycsb-c", threads)
    for workload in ("overwrite", "load"):
        yield target(f"{workload} / LMDB", 3, 4.5, workload, 1)
        yield target(f"{workload} / LMDB", 5, 10, workload, 2)
    yield target("YCSB A / LMDB", 2.5, 4, "ycsb-a")
    yield target("YCSB B / LMDB", 1.7, 2.5, "ycsb-b")
    yield target("YCSB E / LMDB", 1.2, 2, "ycsb-e")
    yield target("get of 1000 B / LMDB", 1.4, 2, "get", 1, "1000 B")
    yield target("overwrite of 1000 B / LMDB", 2.5, 3.5, "overwrite", 1, "1000 B")
    yield target("full scan / LMDB", 0.7, 1.2, "scan")


def of_tuff_alone(medians):
    def lowest(name, must, goal, value, unit):
        return Target(name, must, goal, value, unit, lower_is_better=True)

    def get(workload, field, kind="main", threads=1):
        return medians.get(kind, threads, workload, TUFF, field)

    for workload in ("load", "overwrite"):
        yield lowest(f"p99 of a put ({workload})", 8, 4, get(workload, "p99_us"), "us")
    for workload in ("get", "overwrite", "load"):
        yield Target(f"{workload}, 2 threads / 1 thread", 1.7, 1.9,
                     divide(get(workload, "ops_per_s", threads=2), get(workload, "ops_per_s")))
    yield lowest("media after random load", 2.0, 1.6,
                 get("load", "media_per_logical", "media"), "x")
    yield lowest("media after overwrites", 2.4, 1.9,
                 get("media-overwrite", "media_per_logical", "media"), "x")
    dram = divide(get("overwrite", "dram_bytes"), get("overwrite", "pool_bytes"))
    yield lowest("DRAM beside the mapping, of the pool", 0.1, 0.1,
                 None if dram is None else dram * 100, "%")
    for kind, size in (("reopen", ""), ("reopen-64m", ", pool of 64 MiB"),
                       ("reopen-8g", ", pool of 8 GiB")):
        for how in ("clean", "killed"):
            yield lowest(f"first get after reopen ({how}{size})", 2, 0.5,
                         get(f"reopen-{how}", "first_get_ms", kind), "ms")


def compute(medians):
    disk = medians.ratio("disk", 1, "overwrite", ROCKSDB)
    slower = divide(*(medians.get("guard", 1, "overwrite", engine) for engine in GUARDED))
    return [*to_lmdb(medians), *of_tuff_alone(medians),
            Target("sync put on the disk, PAGE / RocksDB", 1.5, 2, disk),
            Target("overwrite with the write guard on, slower by", 10, 6,
                   None if slower is None else (1 - slower) * 100, "%", lower_is_better=True)]
