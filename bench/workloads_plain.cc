// Workloads of one kind of operation each.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "workloads.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kMany = 100;         // records of one call that takes many
constexpr uint64_t kOverwriteFold = 5;  // as many overwrites as records, in media-overwrite
constexpr uint64_t kKeepEvery = 10;     // record, in media-delete

/// Chooses records evenly, another sequence for each thread and workload.
Random Chooser(std::string_view workload, unsigned thread) {
  return Random(std::hash<std::string_view>()(workload) + thread);
}

/// One operation for each record that a thread finds by number, from `*done` on: `number` gives the
/// k-th of a thread.
Step ForEach(uint64_t* done, uint64_t end, std::function<uint64_t(uint64_t k)> number,
             std::function<void(uint64_t i)> operation) {
  return [done, end, number = std::move(number), operation = std::move(operation)]() -> uint64_t {
    const uint64_t i = number(*done);
    if (i >= end) return 0;
    operation(i);
    ++*done;
    return 1;
  };
}

void Put(const Cell& cell, Session& session, uint64_t i, uint64_t salt) {
  session.Put(cell.records().Key(i).view(), cell.records().Value(i, salt));
}

void LoadIn(Cell& cell, double seconds) {
  Box box = cell.DefaultBox();
  box.seconds = seconds;
  const uint64_t n = cell.config().records;
  cell.Run(
      "load", box,
      [&cell, n](unsigned t, Session& session) {
        return ForEach(
            &cell.loaded[t], n, [&cell, t](uint64_t k) { return t + k * cell.config().threads; },
            [&cell, &session](uint64_t i) { Put(cell, session, i, 0); });
      },
      n);
  cell.Fill();
}

void Load(Cell& cell) { LoadIn(cell, cell.config().load_seconds); }

void Get(Cell& cell) {
  cell.Run("get", cell.DefaultBox(), [&cell](unsigned t, Session& session) -> Step {
    return [&cell, &session, random = Chooser("get", t), seen = Seen()]() mutable -> uint64_t {
      const Seen before = seen;
      session.Get(cell.records().Key(random.Below(cell.config().records)).view(), &seen);
      cell.CheckFound("get", before, seen, 1);
      return 1;
    };
  });
}

void OverwriteIn(Cell& cell, std::string_view workload, const Box& box, uint64_t puts) {
  cell.Run(
      workload, box,
      [&](unsigned t, Session& session) -> Step {
        uint64_t mine = puts / cell.config().threads;
        return [&, bounded = puts != 0, mine, salt = uint64_t{1},
                random = Chooser(workload, t)]() mutable -> uint64_t {
          if (bounded && mine-- == 0) return 0;
          Put(cell, session, random.Below(cell.config().records), salt++);
          return 1;
        };
      },
      puts);
}

void Overwrite(Cell& cell) { OverwriteIn(cell, "overwrite", cell.DefaultBox(), 0); }

/// Room for the keys of one call that takes many.
struct Many {
  std::vector<Key> keys;
  std::vector<Pair> pairs;
  std::vector<std::string_view> views;

  void Choose(const Cell& cell, Random& random, uint64_t salt) {
    keys.clear();
    pairs.clear();
    views.clear();
    keys.reserve(kMany);
    for (uint64_t j = 0; j < kMany; j++) {
      const uint64_t i = random.Below(cell.config().records);
      keys.push_back(cell.records().Key(i));
      views.push_back(keys.back().view());
      pairs.push_back({views.back(), cell.records().Value(i, salt)});
    }
  }
};

Box BoxOfLongCalls(const Cell& cell) {
  Box box = cell.DefaultBox();
  box.sample_every = 1;
  return box;
}

void Batch(Cell& cell) {
  cell.Run("batch-100", BoxOfLongCalls(cell), [&cell](unsigned t, Session& session) -> Step {
    return [&cell, &session, random = Chooser("batch-100", t), many = Many(),
            salt = uint64_t{1}]() mutable {
      many.Choose(cell, random, salt++);
      session.PutBatch(many.pairs);
      return kMany;
    };
  });
}

void MultiGet(Cell& cell) {
  cell.Run("multiget-100", BoxOfLongCalls(cell), [&cell](unsigned t, Session& session) -> Step {
    return [&cell, &session, random = Chooser("multiget-100", t), many = Many(),
            seen = Seen()]() mutable {
      many.Choose(cell, random, 0);
      const Seen before = seen;
      session.MultiGet(many.views, &seen);
      cell.CheckFound("multiget-100", before, seen, kMany);
      return kMany;
    };
  });
}

uint64_t EverySecond(const Cell& cell, unsigned thread, uint64_t k) {
  return 2 * (thread + k * cell.config().threads) + 1;
}

/// Every second record, in random order; then those again.
void DeleteHalf(Cell& cell) {
  const uint64_t n = cell.config().records;
  cell.Run(
      "delete-half", cell.DefaultBox(),
      [&cell, n](unsigned t, Session& session) {
        return ForEach(
            &cell.deleted[t], n, [&cell, t](uint64_t k) { return EverySecond(cell, t, k); },
            [&cell, &session](uint64_t i) { session.Erase(cell.records().Key(i).view()); });
      },
      n / 2);
  std::vector<uint64_t> again(cell.config().threads);
  uint64_t deleted = 0;
  for (const uint64_t of_thread : cell.deleted) deleted += of_thread;
  const auto put_again = [&](unsigned t, Session& session) {
    return ForEach(
        &again[t], EverySecond(cell, t, cell.deleted[t]),
        [&cell, t](uint64_t k) { return EverySecond(cell, t, k); },
        [&cell, &session](uint64_t i) { Put(cell, session, i, 0); });
  };
  // Without bounds: afterwards all records are there again.
  Box box = cell.DefaultBox();
  box.seconds = 0;
  cell.Run("reinsert", box, put_again, deleted);
  std::fill(cell.deleted.begin(), cell.deleted.end(), 0);
}

/// All of it, again and again. A scan that takes twice the workload's time is cut off there.
void ScanBothWays(Cell& cell) {
  const uint64_t all = cell.LiveRecords();
  const auto longest = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(2 * cell.config().seconds));
  for (const bool forward : {true, false}) {
    const std::string_view name = forward ? "scan" : "scan-back";
    cell.Run(name, BoxOfLongCalls(cell), [&, forward, name](unsigned, Session& session) -> Step {
      return [&, forward, name]() -> uint64_t {
        Seen seen;
        seen.Want(all + 1, Clock::now() + longest);
        forward ? session.Scan({}, &seen) : session.ScanBack(&seen);
        if ((seen.records() != all && !seen.late()) ||
            seen.bytes() < seen.records() * cell.config().key_bytes) {
          Die(fmt::format("{}: {} of {} records found", name, seen.records(), all));
        }
        return seen.records();
      };
    });
  }
}

/// Numbers of the records, in the order of their keys: that of the keys' first eight bytes, which
/// differ.
std::vector<uint64_t> InKeyOrder(uint64_t n) {
  std::vector<std::pair<uint64_t, uint64_t>> order(n);
  for (uint64_t i = 0; i < n; i++) order[i] = {__builtin_bswap64(Scramble(i)), i};
  std::sort(order.begin(), order.end());
  std::vector<uint64_t> numbers(n);
  for (uint64_t i = 0; i < n; i++) numbers[i] = order[i].second;
  return numbers;
}

void BulkLoad(Cell& cell) {
  const uint64_t n = cell.config().records;
  const std::vector<uint64_t> order = InKeyOrder(n);
  cell.Create();
  Box box;
  box.seconds = 0;
  box.sample_every = 1;
  bool done = false;
  cell.Run(
      "bulk-load", box,
      [&](unsigned, Session&) -> Step {
        return [&]() -> uint64_t {
          if (std::exchange(done, true)) return 0;
          cell.loaded[0] = n;
          Key key(0);
          cell.engine().BulkLoad(n, [&](uint64_t at) -> Pair {
            key = cell.records().Key(order[at]);
            return {key.view(), cell.records().Value(order[at], 0)};
          });
          return n;
        };
      },
      n);
}

/// What the medium holds after a load, five times as many overwrites, and nine deletes of ten.
void Media(Cell& cell) {
  const uint64_t n = cell.config().records;
  LoadIn(cell, 0);
  Box box = cell.DefaultBox();
  box.seconds = 0;
  OverwriteIn(cell, "media-overwrite", box, n * kOverwriteFold);
  std::vector<uint64_t> done(cell.config().threads);
  cell.deleted_for_good = n - (n + kKeepEvery - 1) / kKeepEvery;
  cell.Run(
      "media-delete", box,
      [&](unsigned t, Session& session) {
        return ForEach(
            &done[t], n,
            [&cell, t](uint64_t k) {
              const uint64_t nth = t + k * cell.config().threads;
              return nth / (kKeepEvery - 1) * kKeepEvery + nth % (kKeepEvery - 1) + 1;
            },
            [&cell, &session](uint64_t i) { session.Erase(cell.records().Key(i).view()); });
      },
      cell.deleted_for_good);
}

using Needs = Workload::Needs;
constexpr Workload kPlain[] = {
    {"load", Needs::kEmpty, Load},
    {"get", Needs::kFilled, Get},
    {"overwrite", Needs::kFilled, Overwrite},
    {"batch-100", Needs::kFilled, Batch},
    {"multiget-100", Needs::kFilled, MultiGet},
    {"delete-half", Needs::kFilled, DeleteHalf},
    {"scan", Needs::kFilled, ScanBothWays},
    {"bulk-load", Needs::kEmpty, BulkLoad},
    {"media", Needs::kEmpty, Media},
};

}  // namespace

std::span<const Workload> PlainWorkloads() { return kPlain; }

const Workload* FindWorkload(std::string_view name) {
  for (const auto& some : {PlainWorkloads(), YcsbWorkloads(), ReopenWorkloads()}) {
    for (const Workload& workload : some) {
      if (workload.name == name) return &workload;
    }
  }
  return nullptr;
}

}  // namespace tuff::bench
