#include "tests/fault/fault_loop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/crash/isolate.h"

namespace tuff::test {
namespace {

// So long a child may take, in seconds.
constexpr unsigned kHangs = 60;
constexpr size_t kProblemsMax = 8;

// A way to fail.
struct Way {
  int error;
  bool for_ever;
  bool is_seen = true;  // false: nobody may notice
};

std::vector<Way> WaysOf(Call call) {
  switch (call) {
    case Call::kOpen:
      return {{EMFILE, false}, {EMFILE, true}};
    case Call::kFlock:
      return {{ENOLCK, false}};
    case Call::kFstat:
      return {{EIO, false}, {EIO, true}};
    case Call::kFchmod:
      return {{EPERM, false}};
    case Call::kFtruncate:
      return {{EFBIG, false}, {EINTR, false, false}};
    case Call::kFallocate:
      return {{ENOSPC, false}, {ENOSPC, true}, {EOPNOTSUPP, true, false}, {EINTR, false, false}};
    case Call::kPread:
      return {{EIO, false}, {EINTR, false, false}, {kShort, true, false}};
    case Call::kPwrite:
      return {{EIO, false}, {ENOSPC, true}, {EINTR, false, false}, {kShort, true, false}};
    case Call::kFsync:
      return {{EIO, false}, {EIO, true}, {EINTR, false, false}};
    case Call::kFdatasync:
      return {{EIO, false}, {EIO, true}, {EINTR, false, false}};
    case Call::kMsync:
    case Call::kSyncFileRange:
      return {{EIO, false}, {EIO, true}};
    case Call::kMmap:
    case Call::kMremap:
    case Call::kMprotect:
    case Call::kPkeyMprotect:
    case Call::kNew:
      return {{ENOMEM, false}, {ENOMEM, true}};
    case Call::kMadvise:
      return {{EINVAL, true, false}};
    case Call::kPkeyAlloc:
      return {{ENOSPC, false, false}};
    case Call::kGetrandom:
      return {{ENOSYS, true, false}};
    case Call::kThreadStart:
      return {{EAGAIN, false}, {EAGAIN, true}};
  }
  return {};
}

// What an operation may say of it, beside OK.
Code CodeOf(const Fault& fault) {
  switch (fault.error) {
    case ENOMEM:
    case EAGAIN:
      return Code::kNoMemory;
    case ENOSPC:
    case EFBIG:
      return Code::kNoSpace;
    case EPERM:
      return Code::kPermission;
    default:
      return Code::kIo;
  }
}

bool MakesReadOnly(Call call) {
  return call == Call::kPwrite || call == Call::kMsync || call == Call::kFdatasync ||
         call == Call::kSyncFileRange;
}

SparseImage ImageOf(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st {};
  if (fd < 0 || fstat(fd, &st) != 0) return SparseImage();
  const auto bytes = static_cast<size_t>(st.st_size);
  void* const at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  SparseImage image = SparseImage::OfMapping(static_cast<const std::byte*>(at), bytes);
  munmap(at, bytes);
  close(fd);
  return image;
}

// Takes an image of a pool when a step is come to.
class KillAt : public StepObserver {
 public:
  KillAt(const std::byte* base, uint64_t bytes, std::string id, int times)
      : base_(base), bytes_(bytes), id_(std::move(id)), left_(times) {
    SetStepObserver(this);
  }
  ~KillAt() override { SetStepObserver(nullptr); }
  bool met() const { return left_ <= 0; }
  const SparseImage& image() const { return image_; }

  void OnPoint(const Step& step) override { Meet(step); }
  bool OnFlush(const Step& step, const std::byte*, uint64_t, size_t) override {
    Meet(step);
    return true;
  }
  bool OnFence(const Step& step, const std::byte*) override {
    Meet(step);
    return true;
  }

 private:
  void Meet(const Step& step) {
    if (left_ <= 0 || id_ != step.id || --left_ > 0) return;
    image_ = SparseImage::OfMapping(base_, bytes_);
  }

  const std::byte* const base_;
  const uint64_t bytes_;
  const std::string id_;
  int left_;
  SparseImage image_;
};

bool Failed(Session& session) {
  return session.pool != nullptr && PoolTestPeer::Map(*session.pool).domain().failed();
}

// Every page block is initialised, and the allocator's reserve full: what is free can be counted.
void WarmUp(Pool& pool) {
  PageMap& map = PoolTestPeer::Map(pool);
  for (uint64_t block = 0; block < map.memmap().blocks(); block++) map.memmap().TouchBlock(block);
  if (const Pfn pfn = map.allocator().Allocate(0, AllocFor::kGrowth); pfn != 0) {
    map.allocator().Free(pfn, 0);
  }
}

// Frames that are free on the medium, but cannot be had: the reserve, and what has been lost.
uint64_t HeldBack(Pool& pool) {
  PageMap& map = PoolTestPeer::Map(pool);
  map.limbo().Reclaim();
  return map.allocator().CountFreeFrames() - map.allocator().KnownFreeFrames();
}

// The loops of one scenario, in a process of their own.
class Loops {
 public:
  Loops(const Scenario& scenario, const std::string& path)
      : scenario_(scenario), session_{path, scenario.granularity, nullptr} {
    if (scenario_.make) scenario_.make(&scenario_);
  }

  // Lines: "C<call> <calls> <faults>", or what is wrong.
  std::string Run() {
    Prepare();
    // Once without a fault: it must work, and all that is made lazily in a process is made.
    if (problems_.empty() && scenario_.calls.empty()) Try(std::nullopt);
    const auto wanted = scenario_.calls.empty() ? AllCalls() : scenario_.calls;
    for (const Call call : wanted) {
      for (const Way& way : WaysOf(call)) Loop(call, way);
    }
    std::string out;
    for (const auto& [call, total] : totals_) {
      out += fmt::format("C{} {} {}\n", static_cast<int>(call), total.calls, total.faults);
    }
    for (const std::string& problem : problems_) out += problem + "\n";
    return out;
  }

 private:
  bool TooMany() const { return problems_.size() >= kProblemsMax; }
  void Problem(const std::string& what) {
    if (!TooMany()) problems_.push_back(fmt::format("{}: {}: {}", scenario_.name, doing_, what));
  }

  void Prepare() {
    doing_ = "preparing";
    bool made = false;
    std::unique_ptr<KillAt> kill;
    for (size_t i = 0; i < scenario_.prepare.size(); i++) {
      const Operation& operation = scenario_.prepare[i];
      if (scenario_.killed_at != nullptr && i + 1 == scenario_.prepare.size()) {
        before_ = start_;
        PageMap& map = PoolTestPeer::Map(*session_.pool);
        kill = std::make_unique<KillAt>(map.base(), OffsetOf(map.frames()), scenario_.killed_at,
                                        scenario_.killed_at_times);
      }
      if (Status s = operation.run(session_); !s.ok()) Problem(operation.name + s.ToString());
      operation.effect(&start_);
      made = true;
    }
    if (!made) return;
    if (session_.pool != nullptr) {
      if (Status s = session_.Close(); !s.ok()) Problem(s.ToString());
    }
    image_ = kill != nullptr ? kill->image() : ImageOf(session_.path);
    if (kill != nullptr && !kill->met()) Problem("the step is not come to");
    kill.reset();
    if (scenario_.killed_at != nullptr) Settle();
  }

  // What a killed process leaves is whatever recovery makes of it.
  void Settle() {
    WriteImage();
    ExamineOptions options;
    options.granularity = scenario_.granularity;
    const Examination found = Examine(session_.path, {before_, start_}, options);
    if (!found.problem.empty()) Problem(found.problem);
    start_ = found.contents;
  }

  void WriteImage() {
    unlink(session_.path.c_str());
    if (image_.bytes() == 0) return;
    if (!image_.WriteTo(session_.path)) Problem("cannot write the image");
  }

  void Loop(Call call, const Way& way) {
    for (uint64_t n = 0; !TooMany(); n += 1 + n / scenario_.density) {
      const Fault fault{call, n, way.error, way.for_ever};
      is_seen_ = way.is_seen;
      Try(fault);
      totals_[call].calls += Injection::calls()[static_cast<size_t>(call)];
      if (Injection::refused() == 0) return;
      totals_[call].faults += Injection::refused();
    }
  }

  void Try(const std::optional<Fault>& fault) {
    doing_ = fault ? FaultText(*fault) : "no fault";
    NowDoing(scenario_.name + ": " + doing_);
    WriteImage();
    const Holdings before = CountHoldings(session_.path);
    legal_ = {start_};
    const bool memory = fault && fault->call == Call::kNew;
    uint64_t held_back = 0;
    if (scenario_.begins_open) {
      if (Status s = session_.Open(); !s.ok()) return Problem("opening: " + s.ToString());
      for (const Operation& operation : scenario_.prepare) {  // the volatile part
        if (operation.name == "fragment") (void)operation.run(session_);
      }
      if (memory) {
        WarmUp(*session_.pool);
        held_back = HeldBack(*session_.pool);
      }
    }
    const bool all_failed = RunFaulty(fault);
    if (session_.pool != nullptr) {
      if (!fault && scenario_.must_grow != nullptr &&
          session_.pool->GetStatistics().*scenario_.must_grow == 0) {
        Problem("it does not do what its name says");
      }
      LookAtOpenPool();
      if (memory && all_failed && scenario_.begins_open && !Failed(session_) &&
          HeldBack(*session_.pool) != held_back) {
        Problem(fmt::format("frames are lost until the next mount: {} instead of {} held back",
                            HeldBack(*session_.pool), held_back));
      }
      RunAgain(fault);
      Close();
    }
    // A mapping or a descriptor that another thread gives back may take a moment; there is none.
    if (const Holdings now = CountHoldings(session_.path); now != before) {
      Problem(fmt::format("{} descriptors and {} mappings more than before",
                          static_cast<long>(now.descriptors - before.descriptors),
                          static_cast<long>(now.mappings - before.mappings)));
    }
    Reopen();
  }

  // Returns whether each operation has failed.
  bool RunFaulty(const std::optional<Fault>& fault) {
    failed_.clear();
    Injection injection(fault.value_or(Fault{}));
    bool all_failed = true;
    for (const Operation& operation : scenario_.run) {
      const bool needs_pool = operation.name != "open" && !operation.makes_pool;
      if (needs_pool && session_.pool == nullptr) break;
      const bool failed_before = Failed(session_);
      Status s;
      try {
        s = operation.run(session_);
      } catch (const std::bad_alloc&) {
        const OwnCalls own;
        s = Status(Code::kNoMemory, "thrown");
        // The test's own lists are made by these two.
        if (!operation.name.starts_with("batch") && !operation.name.starts_with("transaction")) {
          Problem(operation.name + " throws");
        }
      }
      const OwnCalls own;
      Judge(operation, s, failed_before, fault);
      all_failed = all_failed && !s.ok();
    }
    injection.Stop();
    return all_failed;
  }

  void Judge(const Operation& operation, const Status& s, bool failed_before,
             const std::optional<Fault>& fault) {
    std::vector<Contents> happened = legal_;
    for (Contents& contents : happened) operation.effect(&contents);
    const bool changes = happened != legal_;
    if (s.ok()) {
      if (changes && failed_before) Problem(operation.name + " is OK in a read-only pool");
      legal_ = std::move(happened);
      made_ = made_ || operation.makes_pool;
      // What failed before that is settled: it may have happened, and need not be possible again.
      if (operation.name == "open") failed_.clear();
      return;
    }
    const auto text = [&] { return fmt::format("{}: {}", operation.name, s.ToString()); };
    if (!fault || !is_seen_) return Problem(text());
    failed_.push_back(&operation);
    const bool failed_now = Failed(session_);
    if (failed_now && !MakesReadOnly(fault->call)) {
      Problem("the pool is read-only after " + text());
    }
    if (s.message().empty() && CodeOf(*fault) != Code::kNoMemory) Problem("no reason: " + text());
    const bool waits = operation.name == "wait";  // tells what has happened before
    if (failed_before && !waits) {
      if (s.code() != Code::kReadOnly) Problem("not ReadOnly: " + text());
    } else if (s.code() != CodeOf(*fault) &&
               !(s.code() == Code::kReadOnly && MakesReadOnly(fault->call))) {
      Problem("another code: " + text());
    }
    // What was under way when the pool failed has happened or not.
    if (!changes) return;
    const bool in_parts = operation.name.find(" from ") != operation.name.npos;  // DeleteRange
    if (in_parts) AddParts(happened.front());
    const bool may_have_happened =
        s.code() == Code::kNoMemory && operation.name.starts_with("create store");
    if ((failed_now && !failed_before) || may_have_happened) {
      legal_.insert(legal_.end(), happened.begin(), happened.end());
    }
  }

  // Keys that `after` does not have may be gone as far as any of them.
  void AddParts(const Contents& after) {
    Contents part = legal_.front();
    const Contents before = part;
    for (const auto& [key, value] : before) {
      if (after.contains(key)) continue;
      part.erase(key);
      legal_.push_back(part);
    }
  }

  // What was acknowledged can be read, and no more.
  void LookAtOpenPool() {
    auto contents = ReadContents(*session_.pool);
    if (!contents.ok()) return Problem("reading: " + contents.status().ToString());
    std::string difference;
    for (const Contents& candidate : legal_) {
      const std::string here = Difference(candidate, *contents);
      if (here.empty()) {
        difference.clear();
        break;
      }
      difference += here + "; ";
    }
    if (!difference.empty()) Problem("while open: " + difference);
    if (Failed(session_)) return;
    if (const std::string found = Problems(*session_.pool); !found.empty()) {
      Problem("while open: " + found);
    }
  }

  // The pool goes on: what has failed works now, unless its disk is full, or all writes fail.
  void RunAgain(const std::optional<Fault>& fault) {
    for (const Operation* operation : failed_) {
      if (session_.pool == nullptr || operation->name == "close" || operation->name == "open") {
        return;
      }
      const bool failed_before = Failed(session_);
      const Status s = operation->run(session_);
      const bool waits = operation->name == "wait";
      if (failed_before && s.code() != Code::kReadOnly && !waits) {
        Problem(fmt::format("again: {}: {}", operation->name, s.ToString()));
      } else if (!failed_before && (s.ok() || s.code() == Code::kExists)) {
        for (Contents& contents : legal_) operation->effect(&contents);
      } else if (!failed_before && !waits && fault->call != Call::kFallocate) {
        Problem(fmt::format("again: {}: {}", operation->name, s.ToString()));
      }
    }
  }

  void Close() {
    if (session_.pool == nullptr) return;
    const bool failed = Failed(session_);
    const Status s = session_.Close();
    if (failed ? s.code() != Code::kReadOnly : !s.ok()) Problem("closing: " + s.ToString());
  }

  void Reopen() {
    if (image_.bytes() == 0 && !made_) {
      const auto directory = std::filesystem::path(session_.path).parent_path();
      if (!std::filesystem::is_empty(directory)) Problem("something is left behind");
      return;
    }
    made_ = false;
    ExamineOptions options;
    options.granularity = scenario_.granularity;
    const Examination found = Examine(session_.path, legal_, options);
    if (!found.problem.empty()) Problem("afterwards: " + found.problem);
  }

  Scenario scenario_;
  Session session_;
  SparseImage image_;
  Contents start_;
  Contents before_;
  std::vector<Contents> legal_;
  std::vector<const Operation*> failed_;
  bool is_seen_ = true;
  bool made_ = false;
  std::string doing_;
  std::map<Call, FaultTotals> totals_;
  std::vector<std::string> problems_;
};

std::map<Call, FaultTotals>& MutableFaults() {
  static std::map<Call, FaultTotals> all;
  return all;
}

void Collect(const std::string& scenario, const std::string& output) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line[0] != 'C') {
      ADD_FAILURE() << line;
      continue;
    }
    std::istringstream words(line.substr(1));
    int call = 0;
    uint64_t calls = 0;
    uint64_t faults = 0;
    words >> call >> calls >> faults;
    FaultTotals& totals = MutableFaults()[static_cast<Call>(call)];
    totals.calls += calls;
    totals.faults += faults;
    if (faults > 0) totals.scenarios.push_back(scenario);
  }
}

}  // namespace

const std::map<Call, FaultTotals>& AllFaults() { return MutableFaults(); }

Holdings CountHoldings(const std::string& path) {
  Holdings holdings;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    holdings.descriptors++;
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) != line.npos) holdings.mappings++;
  }
  return holdings;
}

void RunFaultLoops(const Scenario& scenario) {
  const TempDir dir(scenario.directory.empty() ? ScratchRoot() : scenario.directory);
  const Isolated isolated = RunIsolated([&] {
    alarm(kHangs);
    return Loops(scenario, dir.File("pool")).Run();
  });
  EXPECT_EQ(isolated.death, "");
  Collect(scenario.name, isolated.output);
}

}  // namespace tuff::test
