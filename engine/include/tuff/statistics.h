// Statistics: what a pool has done since it was opened. Counters are summed over threads without
// stopping them, so a reading taken beside writers may be a few operations old.
#pragma once

#include <cstdint>

namespace tuff {

struct Statistics {
  // Operations that succeeded.
  uint64_t puts = 0;
  uint64_t gets = 0;
  uint64_t gets_not_found = 0;
  uint64_t deletes = 0;
  uint64_t user_bytes_written = 0;  ///< keys and values of puts

  uint64_t batches = 0;           ///< and transactions that wrote
  uint64_t batch_operations = 0;  ///< puts and deletes in them, also counted as such
  uint64_t conflicts = 0;         ///< transactions and compare-and-swaps refused
  uint64_t bulk_records = 0;      ///< made visible by bulk loads

  // Durability.
  uint64_t fences = 0;         ///< sfence, or one sync of the gathered pages under PAGE
  uint64_t flushes = 0;        ///< flush calls (ranges)
  uint64_t flushed_bytes = 0;  ///< whole cache lines (or pages under PAGE) of those ranges
  uint64_t syncs = 0;          ///< msync and fdatasync calls

  uint64_t group_commits = 0;  ///< appends of several writers' records with one fence, under PAGE

  // Snapshots, at this moment.
  uint64_t snapshots = 0;               ///< alive, those of iterators and transactions included
  uint64_t snapshot_age_ns_max = 0;     ///< of the oldest
  uint64_t versions_retained = 0;       ///< superseded records kept for snapshots
  uint64_t version_bytes_retained = 0;  ///< DRAM they take
  uint64_t snapshots_expired = 0;       ///< given up since the pool was opened

  // Structure.
  uint64_t consolidations = 0;
  uint64_t splits = 0;              ///< of leaves
  uint64_t consolidated_ahead = 0;  ///< of both: in the background, before a put had to
  uint64_t inner_splits = 0;
  uint64_t merges = 0;  ///< of leaves
  uint64_t inner_merges = 0;
  uint64_t root_growths = 0;
  uint64_t root_shrinks = 0;
  uint64_t compound_nodes = 0;  ///< nodes written that are larger than a frame

  // Recovery and lazy initialisation.
  uint64_t lanes_recovered = 0;
  uint64_t page_blocks_initialised = 0;
  uint64_t tails_built = 0;
  uint64_t torn_tails_cut = 0;
  uint64_t batches_replayed = 0;
  uint64_t nodes_dismantled = 0;  ///< of dropped stores and abandoned bulk loads

  // Frames.
  uint64_t frames_allocated = 0;
  uint64_t frames_freed = 0;
  uint64_t restarts = 0;  ///< writers that had to start over from the root
};

}  // namespace tuff
