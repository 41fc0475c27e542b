// Arena: a small pool with one store, to be fought over. Client: a thread's way into the store,
// which writes down what it did.
//
// Thread-safety: an Arena by one thread; a Client by one thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/pool_impl.h"
#include "tests/concurrency/history.h"
#include "tests/test_util.h"
#include "tuff/tuff.h"

namespace tuff::test {

class Arena {
 public:
  explicit Arena(const CreateOptions& options = SmallPool());

  Pool& pool() { return *pool_; }
  Store& store() { return *store_; }
  PageMap& map() { return PoolTestPeer::Map(*pool_); }
  Clock& clock() { return clock_; }
  uint64_t Count(Counter counter) { return map().counters().Sum(counter); }

  /// Opens a copy of the file as it is now: as after kill -9, nothing is known of any frame.
  void CrashAndReopen();
  /// Empty if CheckPool finds nothing.
  std::string Problems();

  /// The leaf that `key` belongs to: its low and high fence ("" if none), its keys, whether a
  /// record of `bytes` bytes has room in its log.
  struct LeafInfo {
    std::string low;
    std::string high;
    std::vector<std::string> keys;
    bool has_room = false;
  };
  LeafInfo LeafOf(const std::string& key, size_t bytes = 0);

 private:
  void UseStore();

  TempDir dir_;
  int copies_ = 0;
  OpenOptions open_;
  std::string path_;
  std::unique_ptr<Pool> pool_;
  Store* store_ = nullptr;
  Clock clock_;
};

/// A pool's Close waits for a grace period, so many are closed at once.
/// REQUIRES: no observer is set.
void CloseTogether(std::vector<std::unique_ptr<Arena>>* arenas);

/// Does and logs operations. Anything but OK and NotFound is a test failure, and not logged.
class Client {
 public:
  Client(Store& store, Clock& clock, std::string name)
      : store_(store), clock_(clock), name_(std::move(name)) {}

  void Put(const std::string& key, const std::string& value);
  void Delete(const std::string& key);
  void Get(const std::string& key);
  void GetPinned(const std::string& key);
  /// Walks the whole store: keys in strict order, logged as gets; those of `expected` that were
  /// not met are logged as misses.
  void Iterate(bool forward, const std::set<std::string>& expected);

  const History& log() const { return log_; }

 private:
  void Note(Op::Kind kind, const std::string& key, std::string_view value, uint64_t invoked);
  void Unexpected(const Status& status, const std::string& key);

  Store& store_;
  Clock& clock_;
  const std::string name_;
  History log_;
};

}  // namespace tuff::test
