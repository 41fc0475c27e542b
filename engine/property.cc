// Properties: what a pool says of itself as text, by name.

#include <fmt/format.h>

#include <array>

#include "engine/pool_impl.h"

namespace tuff {
namespace {

struct Property {
  const char* name;
  std::string (*value)(const Pool& pool, PageMap& map);
};

std::string StatsText(const Pool& pool) {
  const Statistics s = pool.GetStatistics();
  const double puts = s.puts + s.deletes == 0 ? 1 : static_cast<double>(s.puts + s.deletes);
  return fmt::format(
      "puts {} gets {} (not found {}) deletes {} batches {} (operations {}) conflicts {} bulk "
      "records {}\n"
      "snapshots {} (oldest {:.3f} s) versions kept {} ({} bytes) expired {}\n"
      "fences {} ({:.2f} per write) flushes {} flushed bytes {} ({:.0f} per write) syncs {}\n"
      "consolidations {} splits {} (of both in the background {}) merges {} inner splits {} "
      "inner merges {} root growths {} root shrinks {} compound nodes {}\n"
      "page blocks initialised {} tails built {} torn tails cut {} lanes recovered {} "
      "batches replayed {} nodes dismantled {}\n"
      "frames allocated {} freed {} restarts {}\n",
      s.puts, s.gets, s.gets_not_found, s.deletes, s.batches, s.batch_operations, s.conflicts,
      s.bulk_records, s.snapshots, static_cast<double>(s.snapshot_age_ns_max) / 1e9,
      s.versions_retained, s.version_bytes_retained, s.snapshots_expired, s.fences,
      static_cast<double>(s.fences) / puts, s.flushes, s.flushed_bytes,
      static_cast<double>(s.flushed_bytes) / puts, s.syncs, s.consolidations, s.splits,
      s.consolidated_ahead, s.merges, s.inner_splits, s.inner_merges, s.root_growths,
      s.root_shrinks, s.compound_nodes, s.page_blocks_initialised, s.tails_built, s.torn_tails_cut,
      s.lanes_recovered, s.batches_replayed, s.nodes_dismantled, s.frames_allocated, s.frames_freed,
      s.restarts);
}

constexpr std::array kProperties = {
    Property{"tuff.stats", [](const Pool& pool, PageMap&) { return StatsText(pool); }},
    Property{"tuff.free-frames",  // reads every section's frame table
             [](const Pool&, PageMap& map) {
               return fmt::format("{}", map.allocator().CountFreeFrames());
             }},
    Property{"tuff.limbo-frames",
             [](const Pool&, PageMap& map) { return fmt::format("{}", map.limbo().frames()); }},
    Property{"tuff.granularity",
             [](const Pool&, PageMap& map) {
               return std::string(GranularityName(map.domain().medium().granularity()));
             }},
    Property{"tuff.guard", [](const Pool& pool,
                              PageMap&) { return std::string(GuardName(pool.GetInfo().guard)); }},
};

}  // namespace

std::vector<std::string> Pool::Properties() {
  std::vector<std::string> names;
  for (const Property& property : kProperties) names.emplace_back(property.name);
  return names;
}

Result<std::string> Pool::GetProperty(std::string_view name) {
  impl_->map->domain().AdmitThread();
  for (const Property& property : kProperties) {
    if (name == property.name) return property.value(*this, *impl_->map);
  }
  return Status(Code::kNotFound, fmt::format("no property '{}'", name));
}

}  // namespace tuff
