// Lab: a small pool with one store, in a process of its own, for showing what goes wrong when one
// check, retirement, zeroing or order of the engine is left out (SetMutant, pagemap/steps.h).
//
// A Killer is a scene that ends well, and does not when the step of its id is left out: then
// something is wrong that a program would see, or the process dies.
// Thread-safety: none, but for what a scene's own threads do to the pool.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/pool_impl.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "tests/test_util.h"

namespace tuff::test {

/// Thrown by a scene: what is wrong.
struct Wrong {
  std::string what;
};
inline void Require(bool right, const std::string& what) {
  if (!right) throw Wrong{what};
}
void Must(const Status& status);
template <typename T>
T Must(Result<T> result) {
  Must(result.status());
  return std::move(*result);
}

class Lab {
 public:
  /// With `records` records in the store. `directory` is the caller's.
  explicit Lab(std::string directory, int records = 0,
               Granularity granularity = Granularity::kCacheLine);

  Pool& pool() { return *pool_; }
  Store& store() { return *store_; }
  PageMap& map() { return PoolTestPeer::Map(*pool_); }
  const std::string& path() const { return path_; }

  static std::string Key(int i);
  static std::string Value(int i) { return "the value of " + Key(i) + std::string(60, '.'); }
  void Put(const std::string& key, const std::string& value) { Must(store_->Put(key, value)); }
  Status Get(const std::string& key, std::string* value = nullptr);
  /// The value of `key`, or what stands in for it: "" if there is none.
  std::string Read(const std::string& key, const Snapshot* snapshot = nullptr);
  /// All of the first `records` records are there.
  void RequireAll(int records);

  void Close();
  /// Opens; the store as well, if the pool could be opened.
  Status Open();
  void Reopen();
  /// Kills the process, as far as the file knows, and does not open the pool again.
  void Kill();
  /// The pool as it is now, in a file of its own: what would be found after a kill.
  std::string Copy();
  /// Closes this pool, if it is open, and goes on with the file at `path`.
  void UseFile(const std::string& path);

  Pfn LeafOf(const std::string& key);
  Pfn Root();
  Pfn Anchor();
  uint32_t object_id() { return Object().id; }
  /// Overwrites `key` until its leaf is another one.
  void RewriteLeafOf(const std::string& key);
  /// All frames that the allocator hands out, one by one.
  std::vector<Pfn> TakeAll();
  void GiveBack(const std::vector<Pfn>& taken);
  size_t CountHandedOut();
  /// True if the allocator would hand out this frame, when all that is free is asked for.
  bool IsHandedOut(Pfn pfn);
  /// CheckPool finds nothing.
  void RequireSound();
  /// As many frames are free as after a mount.
  void RequireNothingLeaked();

  // The pool is closed.
  uint64_t hash_seed() const;
  void Flip(uint64_t offset);
  /// Changes a node; its checksum is right afterwards, if `sealed`.
  void EditNode(Pfn pfn, const std::function<void(std::byte*)>& edit, bool sealed = true);
  /// Writes a lane's entry with what follows it, with a right checksum.
  void WriteEntry(unsigned lane, LaneEntry entry, std::string_view behind) const;

  /// REQUIRES of the engine: it refuses.
  static void RequireRefused(const Status& status, Code code = Code::kCorruption);

 private:
  ObjectInfo Object();

  const std::string directory_;
  const Granularity granularity_;
  int copies_ = 0;
  std::string path_;
  std::unique_ptr<Pool> pool_;
  Store* store_ = nullptr;
};

struct Killer {
  const char* id;
  void (*scene)(const std::string& directory);
};

/// The scene ends well; with the killer's step left out it is reached, and ends badly.
void ExpectKilled(const Killer& killer);
std::string NameOfKiller(const ::testing::TestParamInfo<Killer>& info);

/// Notes for the table printed at the end what has killed a mutant.
void NoteKilled(const std::string& id, const std::string& by);
/// Notes that there is a mutant of these ids; true.
bool ListMutants(const std::vector<std::string>& ids);
template <size_t n>
bool ListKillers(const Killer (&killers)[n]) {
  std::vector<std::string> ids;
  for (const Killer& killer : killers) ids.emplace_back(killer.id);
  return ListMutants(ids);
}

}  // namespace tuff::test
