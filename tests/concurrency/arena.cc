#include "tests/concurrency/arena.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "engine/check.h"
#include "engine/cursor.h"
#include "engine/leaf.h"

namespace tuff::test {
namespace {

// For what a test cannot do without.
template <typename T>
T Need(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    std::abort();
  }
  return std::move(*result);
}

}  // namespace

Arena::Arena(const CreateOptions& options) : open_(options.open), path_(dir_.File("pool")) {
  pool_ = Need(Pool::Create(path_, options));
  store_ = Need(pool_->CreateStore("store"));
}

void Arena::CrashAndReopen() {
  const std::string copy = dir_.File("copy" + std::to_string(copies_++));
  std::filesystem::copy_file(path_, copy);
  pool_.reset();
  std::filesystem::remove(path_);
  path_ = copy;
  pool_ = Need(Pool::Open(path_, open_));
  store_ = Need(pool_->OpenStore("store"));
}

std::string Arena::Problems() {
  const CheckReport report = CheckPool(map(), PoolTestPeer::GetCatalogue(*pool_));
  return report.problems.empty() ? "" : report.ToString();
}

Arena::LeafInfo Arena::LeafOf(const std::string& key, size_t bytes) {
  const ObjectInfo object = Need(PoolTestPeer::GetCatalogue(*pool_).Find("store"));
  Tree tree(map(), object.id, object.anchor);
  LeafSnapshot snapshot;
  LeafInfo info;
  EXPECT_OK(tree.PinLeaf(key, SeekTo::kAt, &snapshot));
  if (snapshot.node.data() == nullptr) return info;
  const Leaf leaf(map(), snapshot.node);
  info.low = snapshot.node.low();
  info.high = snapshot.node.has_high() ? snapshot.node.high() : "";
  info.has_room = leaf.HasRoom(bytes);
  std::vector<RecordView> records;
  EXPECT_OK(leaf.Gather(snapshot.tail_count, &records));
  for (const RecordView& record : records) info.keys.emplace_back(record.key);
  tree.Unpin(snapshot.node.pfn());
  return info;
}

void CloseTogether(std::vector<std::unique_ptr<Arena>>* arenas) {
  std::vector<std::thread> threads;
  for (auto& arena : *arenas) threads.emplace_back([&] { arena.reset(); });
  for (std::thread& thread : threads) thread.join();
  arenas->clear();
}

void Client::Note(Op::Kind kind, const std::string& key, std::string_view value, uint64_t invoked) {
  log_.push_back({kind, key, std::string(value), invoked, clock_.Now(), name_});
}

void Client::Unexpected(const Status& status, const std::string& key) {
  ADD_FAILURE() << name_ << ", key '" << key << "': " << status.ToString();
}

void Client::Put(const std::string& key, const std::string& value) {
  const uint64_t invoked = clock_.Now();
  const Status s = store_.Put(key, value);
  if (!s.ok()) return Unexpected(s, key);
  Note(Op::Kind::kPut, key, value, invoked);
}

void Client::Delete(const std::string& key) {
  const uint64_t invoked = clock_.Now();
  const Status s = store_.Delete(key);
  if (!s.ok() && !s.IsNotFound()) return Unexpected(s, key);
  Note(s.ok() ? Op::Kind::kDelete : Op::Kind::kMiss, key, "", invoked);
}

void Client::Get(const std::string& key) {
  std::string value;
  const uint64_t invoked = clock_.Now();
  const Status s = store_.Get(key, &value);
  if (!s.ok() && !s.IsNotFound()) return Unexpected(s, key);
  Note(s.ok() ? Op::Kind::kGet : Op::Kind::kMiss, key, value, invoked);
}

void Client::GetPinned(const std::string& key) {
  const uint64_t invoked = clock_.Now();
  auto pinned = store_.GetPinned(key);
  if (!pinned.ok() && !pinned.status().IsNotFound()) return Unexpected(pinned.status(), key);
  Note(pinned.ok() ? Op::Kind::kGet : Op::Kind::kMiss, key, pinned.ok() ? pinned->view() : "",
       invoked);
}

void Client::Iterate(bool forward, const std::set<std::string>& expected) {
  const uint64_t invoked = clock_.Now();
  std::vector<std::pair<std::string, std::string>> seen;
  {
    const auto at = store_.NewIterator();
    for (forward ? at->SeekToFirst() : at->SeekToLast(); at->Valid();
         forward ? at->Next() : at->Prev()) {
      const std::string key(at->key());
      if (!seen.empty() && (forward ? key <= seen.back().first : key >= seen.back().first)) {
        ADD_FAILURE() << name_ << ": '" << key << "' comes after '" << seen.back().first << "'";
      }
      seen.emplace_back(key, at->value());
    }
    if (!at->status().ok()) Unexpected(at->status(), "(walk)");
  }
  std::set<std::string> missing = expected;
  const uint64_t returned = clock_.Now();
  for (const auto& [key, value] : seen) {
    missing.erase(key);
    log_.push_back({Op::Kind::kGet, key, value, invoked, returned, name_});
  }
  for (const std::string& key : missing) {
    log_.push_back({Op::Kind::kMiss, key, "", invoked, returned, name_});
  }
}

}  // namespace tuff::test
