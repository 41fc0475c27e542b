#include "engine/repair/overlay.h"

#include <fmt/format.h>

#include "pagemap/lanes.h"

namespace tuff {
namespace {

const std::byte* LaneAt(const PoolImage& image, unsigned lane) {
  return image.base() + OffsetOf(kLanesPfn + lane);
}

// The first lane that holds something; kLanes: none does.
unsigned FirstLive(const PoolImage& image) {
  unsigned lane = 0;
  while (lane < kLanes && Load64(LaneAt(image, lane)) == 0) lane++;
  return lane;
}

bool WasClosed(const PoolImage& image) {
  return !image.guessed() && (image.superblock().state & kStateClean) != 0;
}

}  // namespace

bool MayHaveCrashed(const PoolImage& image) {
  return !WasClosed(image) || (image.superblock().state & kStateCrashedSinceScrub) != 0;
}

Status RecoverInOverlay(PoolImage& image, std::vector<std::string>* damaged) {
  if (FirstLive(image) == kLanes) return Status();
  if (WasClosed(image)) {
    for (unsigned lane = 0; lane < kLanes; lane++) {
      if (Load64(LaneAt(image, lane)) == 0) continue;
      damaged->push_back(
          fmt::format("lane {} is not empty, though the pool was closed; it is left out", lane));
    }
    return Status();
  }
  const RecordCheck is_there = RecordIsThere;
  PersistDomain& domain = image.domain();
  domain.BeginOverlay();
  for (;;) {
    Status s = Lanes::Recover(domain, image.hash_seed(), image.frames(), is_there);
    if (s.ok()) break;
    const unsigned lane = FirstLive(image);  // those before it have been seen to
    if (!s.IsCorruption() || lane == kLanes) {
      Status ended = domain.EndOverlay();
      return ended.ok() ? std::move(s) : std::move(ended);
    }
    damaged->push_back(fmt::format("lane {} is damaged; it is left out", lane));
    WriteWindow(domain).StoreUnread64(OffsetOf(kLanesPfn + lane), 0);
  }
  return domain.EndOverlay();
}

}  // namespace tuff
