#include "tests/crash/oracle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "pagemap/checksum.h"

namespace tuff::test {
namespace {

uint64_t Dice(unsigned thread, unsigned key, uint64_t version) {
  return Mix64(version * 1000003 + key * 101 + thread);
}

}  // namespace

Oracle::Oracle(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(Map)) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  void* const mapped = mmap(nullptr, sizeof(Map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) {
    std::perror(path.c_str());
    std::abort();
  }
  map_ = static_cast<Map*>(mapped);
}

Oracle::~Oracle() { munmap(map_, sizeof(Map)); }

// Two threads share each store, so that they meet in leaves.
std::string Oracle::StoreName(unsigned thread) { return fmt::format("store{}", thread / 2); }

std::string Oracle::Key(unsigned thread, unsigned key) {
  return fmt::format("key{:05}-{}", key, thread);
}

bool Oracle::IsGone(unsigned thread, unsigned key, uint64_t version) {
  if (version == 0) return true;
  // In turns few and many deletes, so that the tree grows and shrinks.
  return Dice(thread, key, version) % 8 < (version / 8 % 2 == 0 ? 1 : 6);
}

std::string Oracle::Value(unsigned thread, unsigned key, uint64_t version) {
  const uint64_t dice = Dice(thread, key, version) >> 8;
  const size_t bytes = dice % 64 == 0 ? 3000 : dice % 8 == 0 ? 700 : dice % 100;
  return fmt::format("{}.{}.{}:", thread, key, version) +
         std::string(bytes, static_cast<char>('a' + dice % 26));
}

Oracle::Records Oracle::BatchRecords(unsigned thread, uint64_t version) {
  Records records;
  for (unsigned i = 0; i < kBatchKeys; i++) {
    // In both stores, and far apart in each.
    const std::string key = fmt::format("key{:05}-b{}", i * kKeys / kBatchKeys, thread);
    auto& record = records[{StoreName(i % kThreads), key}];
    if (!IsGone(kThreads + thread, i, version)) record = Value(kThreads + thread, i, version);
  }
  return records;
}

std::string Oracle::BulkStore(unsigned thread) { return fmt::format("bulk{}", thread); }
std::string Oracle::BulkKey(unsigned i) { return fmt::format("key{:05}", i); }
std::string Oracle::BulkValue(unsigned i, uint64_t version) {
  return fmt::format("{}.{}", version, i) + std::string(i % 64, 'v');
}

std::string Oracle::SequenceStore(unsigned thread) { return fmt::format("sequence{}", thread); }
std::string Oracle::SequenceKey(unsigned i) { return fmt::format("{:05}", i); }

Oracle::Entries Oracle::KeyEntries(unsigned thread, unsigned key, uint64_t version) {
  Entries entries;
  auto& entry = entries[StoreName(thread) + "/" + Key(thread, key)];
  if (!IsGone(thread, key, version)) entry = Value(thread, key, version);
  return entries;
}

Oracle::Entries Oracle::BatchEntries(unsigned thread, uint64_t version) {
  Entries entries;
  for (const auto& [name, value] : BatchRecords(thread, version)) {
    entries[name.first + "/" + name.second] = value;
  }
  return entries;
}

Oracle::Entries Oracle::BulkEntries(unsigned thread, uint64_t version) {
  Entries entries;
  const std::string store = BulkStore(thread);
  const Bulk state = BulkState(version);
  entries[store] = state == Bulk::kAbsent ? std::nullopt : std::optional<std::string>("");
  for (unsigned i = 0; i < kBulkRecords; i++) {
    auto& entry = entries[store + "/" + BulkKey(i)];
    if (state == Bulk::kFull) entry = BulkValue(i, version);
  }
  return entries;
}

Oracle::Entries Oracle::SequenceEntries(unsigned thread, uint64_t version) {
  Entries entries;
  const std::string store = SequenceStore(thread);
  const unsigned step = SequenceStep(version);
  entries[store] = step == 0 ? std::nullopt : std::optional<std::string>("");
  for (unsigned i = 0; i < step; i++) {  // the first that is not there, too
    auto& entry = entries[store + "/" + SequenceKey(i)];
    if (i + 1 < step) entry = SequenceKey(i);
  }
  return entries;
}

std::string Oracle::HoleInSequence(const Contents& contents, unsigned thread) {
  const std::string prefix = SequenceStore(thread) + "/";
  unsigned next = 0;
  for (auto at = contents.lower_bound(prefix);
       at != contents.end() && at->first.starts_with(prefix); ++at) {
    const std::string expected = prefix + SequenceKey(next++);
    if (at->first != expected) return fmt::format("a hole: no {}, but {}", expected, at->first);
  }
  return "";
}

std::string Oracle::Settle(Pool& pool) {
  auto contents = ReadContents(pool);
  if (!contents.ok()) return contents.status().ToString();
  size_t there = 0;
  // Where the pool differs from the entries; empty: nowhere.
  const auto difference = [&](const Entries& entries) -> std::string {
    for (const auto& [name, value] : entries) {
      const auto found = contents->find(name);
      const bool is_there = found != contents->end();
      if (is_there == value.has_value() && (!is_there || found->second == *value)) continue;
      return fmt::format("'{}' is '{}'", name, is_there ? found->second.substr(0, 40) : "nothing");
    }
    return "";
  };
  const auto settle = [&](const std::string& name, Slot& slot, const auto& entries_of) {
    const uint64_t acknowledged = slot.acknowledged.load();
    const uint64_t intended = slot.intended.load();
    const Entries after = entries_of(intended);
    const Entries before = entries_of(acknowledged);
    const std::string not_after = difference(after);
    const std::string not_before = intended == acknowledged ? not_after : difference(before);
    if (!not_after.empty() && !not_before.empty()) {
      return fmt::format("{}: acknowledged {}, intended {}, found {}; {}", name, acknowledged,
                         intended, not_before, not_after);
    }
    (not_after.empty() ? slot.acknowledged : slot.intended)
        .store(not_after.empty() ? intended : acknowledged);
    for (const auto& [key, value] : not_after.empty() ? after : before) there += value ? 1 : 0;
    return std::string();
  };
  for (unsigned thread = 0; thread < kThreads; thread++) {
    there += contents->contains(StoreName(thread)) && thread % 2 == 0 ? 1 : 0;
    std::string wrong;
    for (unsigned key = 0; key < kKeys && wrong.empty(); key++) {
      wrong = settle(Key(thread, key), At(thread, key),
                     [&](uint64_t version) { return KeyEntries(thread, key, version); });
    }
    if (wrong.empty()) {
      wrong = settle(fmt::format("batches of {}", thread), BatchAt(thread),
                     [&](uint64_t version) { return BatchEntries(thread, version); });
    }
    if (wrong.empty()) {
      wrong = settle(BulkStore(thread), BulkAt(thread),
                     [&](uint64_t version) { return BulkEntries(thread, version); });
    }
    if (wrong.empty()) wrong = HoleInSequence(*contents, thread);
    if (wrong.empty()) {
      wrong = settle(SequenceStore(thread), SequenceAt(thread),
                     [&](uint64_t version) { return SequenceEntries(thread, version); });
    }
    if (!wrong.empty()) return wrong;
  }
  if (there != contents->size()) return "there are records that nobody has written";
  return "";
}

}  // namespace tuff::test
