// quickstart_writer: the program that tools/quickstart.sh kills. Not installed.
//
//   quickstart_writer POOL write          puts records from several threads until it is killed;
//                                         prints each key once its Put has returned OK
//   quickstart_writer POOL verify <KEYS   opens the pool again and looks for every key of KEYS
//
// A record's value follows from its key, so that verifying needs nothing but the keys.
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "tuff/tuff.h"

namespace {

constexpr int kThreads = 4;
constexpr std::string_view kStoreName = "writer";

int Fail(const tuff::Status& status) {
  std::fprintf(stderr, "quickstart_writer: %s\n", status.ToString().c_str());
  return 1;
}

/// 8 to 1031 bytes that nobody would guess without the key.
std::string ValueOf(std::string_view key) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string value(8 + hash % 1024, '\0');
  for (char& c : value) {
    hash = hash * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(hash >> 56);
  }
  return value;
}

/// The keys of one thread are scattered among those of the others, as hashed names would be.
std::string KeyOf(int thread, uint64_t i) {
  char key[64];
  std::snprintf(key, sizeof key, "%016" PRIx64 "-%d-%" PRIu64, (i + 1) * 0x9e3779b97f4a7c15, thread,
                i);
  return key;
}

int Write(tuff::Store* store) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; thread++) {
    threads.emplace_back([store, thread] {
      for (uint64_t i = 0;; i++) {
        const std::string key = KeyOf(thread, i);
        if (tuff::Status s = store->Put(key, ValueOf(key)); !s.ok()) _exit(Fail(s));
        // Acknowledged: one write(2), so that a kill leaves whole lines.
        const std::string line = key + '\n';
        if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
      }
    });
  }
  return 0;
}

int Verify(tuff::Pool* pool, tuff::Store* store, double open_ms) {
  uint64_t lost = 0;
  std::unordered_set<std::string> acknowledged;
  for (std::string key; std::getline(std::cin, key);) {
    std::string value;
    const tuff::Status s = store->Get(key, &value);
    if (!s.ok() || value != ValueOf(key)) {
      std::fprintf(stderr, "lost: %s: %s\n", key.c_str(), s.ToString().c_str());
      lost++;
    }
    acknowledged.insert(std::move(key));
  }
  // What was written and not acknowledged: at most the one record that each thread was at.
  uint64_t more = 0;
  const auto iterator = store->NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    const std::string key(iterator->key());
    if (acknowledged.contains(key)) continue;
    more++;
    if (iterator->value() != ValueOf(key)) lost++;
  }
  if (!iterator->status().ok()) return Fail(iterator->status());
  const bool sound = lost == 0 && more <= kThreads;
  std::printf("opened in %.1f ms, %zu of %zu acknowledged writes are there and right, %" PRIu64
              " more that the kill kept from being acknowledged\n",
              open_ms, acknowledged.size() - lost, acknowledged.size(), more);
  if (pool->GetInfo().was_clean) {
    std::fprintf(stderr, "quickstart_writer: the pool was closed cleanly; was nothing killed?\n");
    return 1;
  }
  return sound ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[2] : "";
  if (what != "write" && what != "verify") {
    std::fprintf(stderr, "usage: quickstart_writer POOL write|verify\n");
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  auto pool = tuff::Pool::Open(argv[1]);
  const std::chrono::duration<double, std::milli> open_time =
      std::chrono::steady_clock::now() - start;
  if (!pool.ok()) return Fail(pool.status());
  auto store = (*pool)->OpenOrCreateStore(kStoreName);
  if (!store.ok()) return Fail(store.status());
  return what == "write" ? Write(*store) : Verify(pool->get(), *store, open_time.count());
}
