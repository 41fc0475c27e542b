#include "tests/crash/explorer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/crash/recording.h"

namespace tuff::test {
namespace {

// Where the second level starts: a file, and what of it power failure may still take back.
struct Root {
  std::string name;
  SparseImage file;
  MemoryModel model;
  std::vector<Contents> legal;
};

MemoryModel::ReadLine ReaderOf(const SparseImage& image) {
  return [image](uint64_t offset) { return image.LineAt(offset); };
}

Operation EnsureStoreOp(const std::string& store) {
  Operation operation = CreateStoreOp(store);
  operation.run = [=](Session& session) { return session.pool->OpenOrCreateStore(store).status(); };
  return operation;
}

Operation ReadOp(Contents* to) {
  Operation operation;
  operation.name = "read all";
  operation.run = [=](Session& session) -> Status {
    auto contents = ReadContents(*session.pool);
    if (!contents.ok()) return contents.TakeStatus();
    *to = std::move(*contents);
    return Status();
  };
  return operation;
}

// The same from a thread that takes another lane than this one.
Operation ElsewhereOp(Operation operation) {
  operation.run = [run = operation.run](Session& session) {
    Status s;
    std::thread([&] { s = run(session); }).join();
    return s;
  };
  return operation;
}

// A store and a key of it that the crash is likely to have to do with.
std::pair<std::string, std::string> Touched(const std::vector<Contents>& legal) {
  const auto split = [](const std::string& name) {
    const size_t slash = name.find('/');
    return slash == name.npos ? std::pair(name, std::string("key"))
                              : std::pair(name.substr(0, slash), name.substr(slash + 1));
  };
  for (const auto& [name, value] : legal.back()) {
    const auto before = legal.front().find(name);
    if (before == legal.front().end() || before->second != value) return split(name);
  }
  for (const auto& [name, value] : legal.front()) {
    if (!legal.back().contains(name)) return split(name);
  }
  return legal.front().empty() ? std::pair<std::string, std::string>("afterwards", "key")
                               : split(legal.front().rbegin()->first);
}

constexpr unsigned kScripts = 3;

// One image of so many is opened read-only before it is recovered.
constexpr uint64_t kReadOnlyFirst = 4;

// What is done after a crash; `read` is where a ReadOp puts what it has found. Returns the number
// of that operation in `reader`.
Operations Script(unsigned script, const std::vector<Contents>& legal, Contents* read,
                  std::optional<size_t>* reader) {
  const auto [store, key] = Touched(legal);
  Operations operations = {OpenOp()};
  if (script == 1) {  // a mount that looks at nothing in between
    operations.push_back(CloseOp());
    operations.push_back(OpenOp());
  }
  if (script != 2) {  // 2: writes before anything is read
    *reader = operations.size();
    operations.push_back(ReadOp(read));
  }
  // 2: and by a thread whose fences do nothing for what the mount has flushed.
  const auto by = [&](Operation operation) {
    return script == 2 ? ElsewhereOp(std::move(operation)) : operation;
  };
  operations.push_back(by(EnsureStoreOp(store)));
  operations.push_back(by(PutOp(store, key, "written after the crash")));
  if (script != 1) {
    // As many as it takes to restructure the leaf.
    for (int i = 0; i < 14; i++) {
      operations.push_back(ElsewhereOp(PutOp(store, key, fmt::format("elsewhere {}", i))));
    }
    operations.push_back(by(DeleteOp(store, key)));
    // In one leaf or several.
    operations.push_back(
        by(BatchOp({{store, "!", "batch"}, {store, key, "too"}, {store, "~", ""}})));
    operations.push_back(WaitOp());
  }
  operations.push_back(CloseOp());
  return operations;
}

size_t TimesMet(const Recording& recording, const std::string& id) {
  return static_cast<size_t>(std::count_if(
      recording.events.begin(), recording.events.end(),
      [&](const PersistEvent& event) { return event.step != nullptr && event.step->id == id; }));
}

class Explorer {
 public:
  Explorer(const Workload& workload, Granularity granularity, const std::string& directory,
           const ExploreOptions& options)
      : workload_(workload),
        granularity_(granularity),
        work_path_(directory + "/work"),
        image_file_(directory + "/image", kPoolSizeMin),
        options_(options) {}

  ExploreResult Run() {
    Session session{work_path_, granularity_, nullptr};
    SparseImage base(kPoolSizeMin);
    Contents contents;
    if (Status s = Prepare(&session, &contents, &base); !s.ok()) {
      Fail("prepare", s.ToString());
      return std::move(result_);
    }
    const uint64_t before = Grown(session);
    const Recording recording = Record(session, workload_.threads, {contents}, options_.leave_out);
    result_.left_out += recording.left_out;
    const bool grew = workload_.must_grow == nullptr || Grown(session) > before;
    const bool met = workload_.must_meet == nullptr ||
                     TimesMet(recording, workload_.must_meet) >= workload_.must_meet_times;
    if (session.pool != nullptr) (void)session.Close();
    unlink(work_path_.c_str());
    if (!recording.failure.ok()) {
      Fail("record", recording.failure.ToString());
    } else if (!grew || !met) {
      Fail("record", "the workload does not do what its name says");
    } else {
      ExploreFirstLevel(recording, base);
    }
    return std::move(result_);
  }

 private:
  uint64_t Grown(const Session& session) const {
    if (workload_.must_grow == nullptr || session.pool == nullptr) return 0;
    return session.pool->GetStatistics().*workload_.must_grow;
  }

  Status Prepare(Session* session, Contents* contents, SparseImage* base) {
    if (!workload_.with_pool) return Status();
    if (Status s = session->Create(); !s.ok()) return s;
    for (const Operation& operation : workload_.prepare) {
      if (Status s = operation.run(*session); !s.ok()) return s;
      operation.effect(contents);
    }
    if (Status s = session->pool->WaitForBackgroundWork(); !s.ok()) return s;
    const PageMap& map = PoolTestPeer::Map(*session->pool);
    *base =
        SparseImage::OfMapping(PoolTestPeer::Map(*session->pool).base(), OffsetOf(map.frames()));
    return Status();
  }

  bool Enough() const { return result_.failures.size() >= options_.failures_max; }

  void Fail(const std::string& name, const std::string& problem) {
    result_.failures.push_back(fmt::format("{}: {}", name, problem));
  }

  bool Wanted(const std::string& name) const {
    return options_.replay.empty() || options_.replay == name;
  }

  std::string NameOf(const std::string& prefix, const Moment& moment,
                     const std::string& image) const {
    return fmt::format("{}/{}.{}", prefix, moment.event, image);
  }

  // Examines one image; what was found in it is returned if it is a good pool.
  std::optional<Contents> ExamineImage(const std::string& name, const SparseImage& image,
                                       const Moment& moment, bool write_much) {
    NowDoing(name);
    image_file_.Load(image);
    const ImageFile::Watch watch(image_file_);
    ExamineOptions examine{granularity_, moment.may_be_no_pool, write_much};
    if (image_file_.loads() % kReadOnlyFirst == 0 || !options_.replay.empty()) {
      const bool thorough = image_file_.loads() % (16 * kReadOnlyFirst) == 0;
      examine.is_unchanged = [&, thorough] { return image_file_.Holds(image, thorough); };
    }
    const Examination found = Examine(image_file_.path(), moment.legal, examine);
    if (!found.problem.empty()) {
      Fail(name,
           fmt::format("crash at {} (event {}): {}", moment.id == nullptr ? "return" : moment.id,
                       moment.event, found.problem));
      return std::nullopt;
    }
    if (!found.is_pool) return std::nullopt;
    return found.contents;
  }

  uint64_t SeedOf(const Moment& moment, uint64_t salt) const {
    return Mix64(options_.seed ^ Mix64(moment.event * 2 + 1) ^ salt);
  }

  // `met`: the steps come to so far, of one level.
  bool IsChosen(const Moment& moment, std::set<std::string>* met) const {
    const bool is_first = moment.id != nullptr && met->insert(moment.id).second;
    return is_first || !options_.replay.empty() ||
           SeedOf(moment, 3) % 100 < options_.moments_percent;
  }

  void Count(const Moment& moment, uint64_t images, const std::string& level) {
    if (moment.id == nullptr) return;
    Coverage::Of& of = result_.coverage.by_id[moment.id];
    of.images += images;
    of.workloads.insert(workload_.name + level);
  }

  // Moments of the first level from which the second starts, with the image for it.
  std::map<size_t, unsigned> ChooseRoots(const Recording& recording, const SparseImage& base) {
    std::vector<std::pair<size_t, unsigned>> all;
    Random random(options_.seed);
    ForEachMoment(recording, MemoryModel(granularity_, ReaderOf(base)), [&](const Moment& moment) {
      if (!moment.is_new || moment.model->dirty().empty()) return true;
      unsigned images = 0;
      ForEachCrashImage(*moment.model, options_.images_per_moment, SeedOf(moment, 0),
                        [&](unsigned, const CrashImage&) { return ++images > 0; });
      all.emplace_back(moment.event, static_cast<unsigned>(random.Below(images)));
      return true;
    });
    while (all.size() > options_.second_roots && options_.replay.empty()) {
      all.erase(all.begin() + static_cast<ptrdiff_t>(random.Below(all.size())));
    }
    return {all.begin(), all.end()};
  }

  void ExploreFirstLevel(const Recording& recording, const SparseImage& base) {
    const std::map<size_t, unsigned> root_of = ChooseRoots(recording, base);
    const std::string prefix =
        fmt::format("{}/{}/{}", workload_.name, GranularityName(granularity_), options_.seed);
    std::vector<Root> roots;
    std::set<std::string> met;
    uint64_t images = 0;
    ForEachMoment(recording, MemoryModel(granularity_, ReaderOf(base)), [&](const Moment& moment) {
      if (moment.is_new) images = 0;
      const auto root = root_of.find(moment.event);
      const bool is_chosen =
          IsChosen(moment, &met) || moment.id == nullptr || root != root_of.end();
      if (is_chosen && images == 0) {
        result_.coverage.moments++;
        const SparseImage durable = DurableImage(base, *moment.model);
        ForEachCrashImage(
            *moment.model, options_.images_per_moment, SeedOf(moment, 0),
            [&](unsigned index, const CrashImage& lines) {
              const bool is_root = root != root_of.end() && root->second == index;
              const std::string name = NameOf(prefix, moment, fmt::format("{}", index));
              if (!Wanted(name) && !(is_root && options_.replay.starts_with(name + "+"))) {
                return true;
              }
              images++;
              const SparseImage image = WithLines(durable, lines);
              const auto found = ExamineImage(name, image, moment, index % 16 == 5);
              if (is_root && found) {
                roots.push_back(
                    {name, image, MemoryModel(granularity_, ReaderOf(image)), {*found}});
              }
              return !Enough();
            });
        if (root != root_of.end() && !moment.may_be_no_pool) {
          Root killed{NameOf(prefix, moment, "kill"),
                      WithLines(durable, EverythingStored(*moment.model)), *moment.model,
                      moment.legal};
          killed.model.Kill();
          roots.push_back(std::move(killed));
        }
        result_.coverage.images += images;
      }
      Count(moment, images, "");
      return !Enough();
    });
    for (size_t i = 0; i < roots.size() && !Enough(); i++) {
      for (unsigned script = 0; script < kScripts; script++) {
        // One script for each root, in turn; a replay names its own.
        if (options_.replay.empty() ? (i + i / kScripts) % kScripts == script
                                    : options_.replay.starts_with(roots[i].name + "+")) {
          ExploreSecondLevel(roots[i], script);
        }
      }
    }
  }

  void ExploreSecondLevel(const Root& root, unsigned script) {
    const std::string prefix = fmt::format("{}+{}", root.name, script);
    NowDoing(prefix);
    Session session{work_path_, granularity_, nullptr};
    if (!root.file.WriteTo(work_path_)) return Fail(prefix, "cannot write the file");
    Contents read;
    std::optional<size_t> reader;
    const Operations operations = Script(script, root.legal, &read, &reader);
    Recording recording = Record(session, {operations}, root.legal, options_.leave_out);
    recording.reader = reader;
    recording.read = read;
    result_.left_out += recording.left_out;
    if (session.pool != nullptr) (void)session.Close();
    unlink(work_path_.c_str());
    if (!recording.failure.ok()) return Fail(prefix, recording.failure.ToString());
    uint64_t images = 0;
    ForEachMoment(recording, root.model, [&](const Moment& moment) {
      if (moment.is_new) images = 0;
      if (IsChosen(moment, &met_later_) && images == 0) {
        result_.coverage.moments++;
        const SparseImage durable = DurableImage(root.file, *moment.model);
        ForEachCrashImage(*moment.model, options_.second_images_per_moment, SeedOf(moment, 2),
                          [&](unsigned index, const CrashImage& lines) {
                            const std::string name =
                                NameOf(prefix, moment, fmt::format("{}", index));
                            if (!Wanted(name)) return true;
                            images++;
                            (void)ExamineImage(name, WithLines(durable, lines), moment, false);
                            return !Enough();
                          });
        result_.coverage.images += images;
        result_.coverage.second_level_images += images;
      }
      Count(moment, images, "(2)");
      return !Enough();
    });
  }

  const Workload& workload_;
  const Granularity granularity_;
  const std::string work_path_;
  ImageFile image_file_;
  const ExploreOptions& options_;
  std::set<std::string> met_later_;  // steps of the second level
  ExploreResult result_;
};

// A result on its way from one process to another: a line for each thing.
std::string ToText(const ExploreResult& result) {
  const Coverage& coverage = result.coverage;
  std::string text = fmt::format("sums {} {} {} {}\n", result.left_out, coverage.images,
                                 coverage.second_level_images, coverage.moments);
  for (std::string failure : result.failures) {
    std::replace(failure.begin(), failure.end(), '\n', ';');
    text += "failure " + failure + "\n";
  }
  for (const auto& [id, of] : coverage.by_id) {
    for (const std::string& workload : of.workloads)
      text += fmt::format("in {} {}\n", id, workload);
    text += fmt::format("id {} {}\n", id, of.images);
  }
  return text;
}

ExploreResult FromText(const std::string& text) {
  ExploreResult result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what;
    std::string id;
    words >> what;
    if (what == "sums") {
      words >> result.left_out >> result.coverage.images >> result.coverage.second_level_images >>
          result.coverage.moments;
    } else if (what == "failure") {
      result.failures.push_back(line.substr(what.size() + 1));
    } else if (what == "id") {
      words >> id;
      words >> result.coverage.by_id[id].images;
    } else if (what == "in") {
      std::string workload;
      words >> id >> workload;
      result.coverage.by_id[id].workloads.insert(workload);
    }
  }
  return result;
}

}  // namespace

ExploreResult Explore(const Workload& workload, Granularity granularity,
                      const std::string& directory, const ExploreOptions& options) {
  return Explorer(workload, granularity, directory, options).Run();
}

ExploreResult ExploreIsolated(const std::string& workload, Granularity granularity,
                              const ExploreOptions& options) {
  const TempDir dir;
  const Isolated isolated = RunIsolated([&] {
    NowDoing("the dry run");
    const Workload made = MakeWorkload(workload, {dir.File("dry"), granularity});
    NowDoing("the recording");
    return ToText(Explore(made, granularity, dir.path(), options));
  });
  ExploreResult result = FromText(isolated.output);
  if (!isolated.death.empty()) result.failures.push_back(isolated.death);
  return result;
}

}  // namespace tuff::test
