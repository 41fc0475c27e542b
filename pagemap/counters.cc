#include "pagemap/counters.h"

#include <mutex>

namespace tuff {

constinit thread_local unsigned thread_slot_cache = 0;

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
    thread_slot_cache = kThreadSlots + 1;  // for what the thread still does
    if (slot == kThreadSlots) return;
    std::lock_guard lock(Slots().mutex);
    Slots().taken[slot] = false;
  }
};

}  // namespace

unsigned TakeThreadSlot() {
  thread_local SlotHolder holder;
  thread_slot_cache = holder.slot + 1;
  return holder.slot;
}

}  // namespace tuff
