// YCSB's core workloads A to F (Cooper et al., SoCC 2010), on these records.
#include <algorithm>
#include <utility>

#include "workloads.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kScanRecordsMax = 100;

/// Shares of the operations; what is left of 1 is reads.
struct Mix {
  std::string_view name;
  double updates = 0;
  double inserts = 0;
  double scans = 0;
  double read_modify_writes = 0;
  bool latest = false;  ///< reads prefer what was inserted last
};

/// One thread's client.
class Client {
 public:
  Client(Cell& cell, Session& session, const Mix& mix, unsigned thread)
      : cell_(cell),
        session_(session),
        mix_(mix),
        thread_(thread),
        zipfian_(cell.zipfian()),
        random_(std::hash<std::string_view>()(mix.name) + thread) {}

  void Step() {
    double choice = random_.Unit();
    if ((choice -= mix_.updates) < 0) return Update(zipfian_.Scattered(random_));
    if ((choice -= mix_.inserts) < 0) return Insert();
    if ((choice -= mix_.scans) < 0) return Scan();
    const uint64_t i = mix_.latest ? Latest() : zipfian_.Scattered(random_);
    Read(i);
    if ((choice -= mix_.read_modify_writes) < 0) Update(i);
  }

 private:
  void Read(uint64_t i) {
    const Seen before = seen_;
    session_.Get(cell_.records().Key(i).view(), &seen_);
    cell_.CheckFound(mix_.name, before, seen_, 1);
  }

  void Update(uint64_t i) {
    session_.Put(cell_.records().Key(i).view(), cell_.records().Value(i, ++salt_));
  }

  void Insert() {
    uint64_t& inserted = cell_.inserted[thread_];
    Update(cell_.InsertedNumber(thread_, inserted));
    inserted++;
  }

  void Scan() {
    const class Key from = cell_.records().Key(zipfian_.Scattered(random_));
    session_.Scan(from.view(), &seen_.Want(1 + random_.Below(kScanRecordsMax)));
  }

  /// The newest are this thread's own inserts, the last one first; then what was loaded last.
  uint64_t Latest() {
    const uint64_t rank = zipfian_.Rank(random_);
    const uint64_t inserted = cell_.inserted[thread_];
    if (rank < inserted) return cell_.InsertedNumber(thread_, inserted - 1 - rank);
    return cell_.config().records - 1 - std::min(rank - inserted, cell_.config().records - 1);
  }

  Cell& cell_;
  Session& session_;
  const Mix mix_;
  const unsigned thread_;
  const Zipfian& zipfian_;
  Random random_;
  Seen seen_;
  uint64_t salt_ = 0;
};

template <const Mix& kMix>
void Run(Cell& cell) {
  (void)cell.zipfian();  // made before the threads ask for it
  cell.Run(kMix.name, cell.DefaultBox(), [&cell](unsigned t, Session& session) -> Step {
    return [client = Client(cell, session, kMix, t)]() mutable -> uint64_t {
      client.Step();
      return 1;
    };
  });
}

constexpr Mix kA = {.name = "ycsb-a", .updates = 0.5};
constexpr Mix kB = {.name = "ycsb-b", .updates = 0.05};
constexpr Mix kC = {.name = "ycsb-c"};
constexpr Mix kD = {.name = "ycsb-d", .inserts = 0.05, .latest = true};
constexpr Mix kE = {.name = "ycsb-e", .inserts = 0.05, .scans = 0.95};
constexpr Mix kF = {.name = "ycsb-f", .read_modify_writes = 0.5};

using Needs = Workload::Needs;
constexpr Workload kYcsb[] = {
    {kA.name, Needs::kFilled, Run<kA>}, {kB.name, Needs::kFilled, Run<kB>},
    {kC.name, Needs::kFilled, Run<kC>}, {kD.name, Needs::kFilled, Run<kD>},
    {kE.name, Needs::kFilled, Run<kE>}, {kF.name, Needs::kFilled, Run<kF>},
};

}  // namespace

std::span<const Workload> YcsbWorkloads() { return kYcsb; }

}  // namespace tuff::bench
