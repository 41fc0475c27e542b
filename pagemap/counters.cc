#include "pagemap/counters.h"

#include <mutex>

namespace tuff {
namespace {

// The slots in use. Never destroyed: threads may outlive static objects.
struct SlotTable {
  std::mutex mutex;
  std::array<bool, kThreadSlots> taken{};
};
SlotTable& Slots() {
  static auto* table = new SlotTable;
  return *table;
}

struct SlotHolder {
  unsigned slot = kThreadSlots;
  SlotHolder() {
    SlotTable& table = Slots();
    std::lock_guard lock(table.mutex);
    for (unsigned i = 0; i < kThreadSlots; i++) {
      if (table.taken[i]) continue;
      table.taken[i] = true;
      slot = i;
      return;
    }
  }
  ~SlotHolder() {
    if (slot == kThreadSlots) return;
    std::lock_guard lock(Slots().mutex);
    Slots().taken[slot] = false;
  }
};

}  // namespace

unsigned ThreadSlot() {
  thread_local SlotHolder holder;
  return holder.slot;
}

}  // namespace tuff
