"""The rows of a run, by what was measured; each figure is the median over the rounds."""

import statistics

ENGINES = [("tuff", "default"), ("lmdb", "default"), ("lmdb", "writemap"), ("rocksdb", "default"),
           ("rocksdb", "tuned")]
GUARDED = [("tuff", "guard=pkey"), ("tuff", "guard=none")]
TUFF = ENGINES[0]
LMDB = [engine for engine in ENGINES if engine[0] == "lmdb"]
ROCKSDB = [engine for engine in ENGINES if engine[0] == "rocksdb"]
PEERS = ENGINES[1:]


def name_of(engine):
    return " ".join(engine)


class Medians:
    """Figures by (set, threads, workload) and (engine, setting)."""

    def __init__(self, rows):
        self.machine = next((row for row in rows if row["engine"] == "machine"), {})
        self.absent = [row for row in rows if "skipped" in row or "failed" in row]
        self.rows = {}
        self.order = []  # (set, threads, workload) in the order of measuring
        gathered = {}
        for row in rows:
            if "ops_per_s" in row:
                where = (row["set"], row["threads"], row["workload"])
                gathered.setdefault((where, (row["engine"], row["setting"])), []).append(row)
        for (where, engine), same in gathered.items():
            if where not in self.order:
                self.order.append(where)
            merged = dict(same[0])
            for field in same[0]:
                values = [row[field] for row in same if isinstance(row[field], (int, float))]
                if values and len(values) == len(same):
                    merged[field] = statistics.median(values)
            merged["kept_waiting"] = statistics.median(
                max(row.get("kept_from_running") or [0]) for row in same)
            merged["rounds"] = len(same)
            self.rows[where, engine] = merged

    def row(self, kind, threads, workload, engine):
        return self.rows.get(((kind, threads, workload), engine), {})

    def get(self, kind, threads, workload, engine, field="ops_per_s"):
        """None if it was not measured."""
        return self.row(kind, threads, workload, engine).get(field)

    def best(self, kind, threads, workload, engines, field="ops_per_s"):
        """The highest of several engines; None if there is none."""
        values = [self.get(kind, threads, workload, engine, field) for engine in engines]
        return max((value for value in values if value is not None), default=None)

    def ratio(self, kind, threads, workload, engines):
        """tuff's throughput over that of the fastest of others."""
        return divide(self.get(kind, threads, workload, TUFF),
                      self.best(kind, threads, workload, engines))

    def limit(self, name):
        """Microseconds of one of the machine's limits."""
        return self.get("limits", 1, name, ("limit", ""), "p50_us")

    def groups(self):
        """(set, threads), in the order of measuring, without the limits."""
        return list(dict.fromkeys(where[:2] for where in self.order if where[0] != "limits"))

    def workloads(self, kind, threads):
        return [where[2] for where in self.order if where[:2] == (kind, threads)]


def divide(a, b):
    return a / b if a is not None and b else None


def limit_us(medians, row):
    """What an operation would take at least on this machine, in microseconds, all threads together:
    bench/README.md, "Limits". None where a limit was not measured."""
    read, persist = medians.limit("read-4k-pages"), medians.limit("persist-random")
    page_copy, piece_copy = medians.limit("persist-copy"), medians.limit("copy")
    sync, fence = medians.limit("sync-page"), medians.limit("fence")
    if None in (read, persist, page_copy, piece_copy, fence):
        return None
    record = row["key_bytes"] + (2144 if row["value_bytes"] == "mixed" else row["value_bytes"])
    looked_at = record * piece_copy / (1 << 20)
    written = record * page_copy / 4096
    write = persist + max(0, record - 128) * page_copy / 4096
    batched = read + written + fence / 100
    if row["granularity"] == "page":
        write = sync
        batched = None if sync is None else read + sync / 100
        if sync is None:
            return None
    limits = {
        "load": write, "overwrite": write, "media-overwrite": write, "delete-half": write,
        "media-delete": write, "reinsert": write,
        "get": read, "ycsb-c": read, "multiget-100": read, "reopen-clean": read,
        "reopen-killed": read,
        "ycsb-a": 0.5 * read + 0.5 * write, "ycsb-b": 0.95 * read + 0.05 * write,
        "ycsb-d": 0.95 * read + 0.05 * write,
        "ycsb-e": 0.95 * (read + 50.5 * looked_at) + 0.05 * write, "ycsb-f": read + 0.5 * write,
        "batch-100": batched, "scan": looked_at, "scan-back": looked_at, "bulk-load": written}
    limit = limits.get(row["workload"])
    return None if limit is None else limit / row["threads"]


def times_limit(medians, row):
    """How many times the limit tuff's operation takes."""
    limit = limit_us(medians, row) if row.get("ops_per_s") else None
    return None if limit is None else 1e6 / row["ops_per_s"] / limit
