#include "tests/crash/explorer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/crash/kept_image.h"
#include "tests/crash/recording.h"
#include "tests/crash/script.h"

namespace tuff::test {
namespace {

constexpr unsigned kLevels = 3;
constexpr unsigned kThirdLevelRoots = 1;    // of each recording of the second
constexpr uint64_t kThirdLevelShare = 4;    // one in so many of the later images
constexpr uint64_t kImagesOfALevelMin = 8;  // or it is not worth a recording

// One image of so many is opened read-only before it is recovered, and so many are opened once more
// after the writing; one of so many is written so much that leaves are restructured.
constexpr uint64_t kReadOnlyOneIn = 4;
constexpr uint64_t kWriteMuchOneIn = 16;

// Where a level starts: a file, what of it power failure may still take back, what it may hold.
struct Root {
  std::string name;
  SparseImage file;
  MemoryModel model;
  std::vector<Contents> legal;
};

// Moments in which the medium may hold the same.
struct Group {
  size_t event = 0;  // the first of them
  uint64_t count = 0;
  bool must_be_explored = false;
};

struct Level {
  unsigned number;  // from 0
  std::string prefix;
  const Recording& recording;
  const SparseImage& base;
  const MemoryModel& model;
  uint64_t budget;  // images
  unsigned roots;
};

// What a replay wants of a level.
struct Target {
  size_t event = 0;
  std::string image;
  std::optional<unsigned> script;  // it wants something behind that image
};

MemoryModel::ReadLine ReaderOf(const SparseImage& image) {
  return [image](uint64_t offset) { return image.LineAt(offset); };
}

size_t TimesMet(const Recording& recording, const std::string& id) {
  return static_cast<size_t>(std::count_if(
      recording.events.begin(), recording.events.end(),
      [&](const PersistEvent& event) { return event.step != nullptr && event.step->id == id; }));
}

// So many images of each group that they are `budget` together, but two at least.
uint64_t ImagesOfEach(const std::vector<Group>& groups, uint64_t budget) {
  uint64_t each = 2;
  uint64_t sum = 0;
  do {
    each *= 2;
    sum = 0;
    for (const Group& group : groups) sum += std::min(group.count, each);
  } while (sum < budget && each < (1ull << 20));
  while (sum > budget && each > 2) {
    sum = 0;
    each -= 1 + each / 16;
    for (const Group& group : groups) sum += std::min(group.count, each);
  }
  return std::max<uint64_t>(each, 2);
}

// Steps come to so far, by level.
using StepsMet = std::array<std::set<std::string>, kLevels>;

class Explorer {
 public:
  Explorer(const Workload& workload, Granularity granularity, const std::string& directory,
           const ExploreOptions& options, ImageFile* image_file, StepsMet* met)
      : workload_(workload),
        granularity_(granularity),
        work_path_(directory + "/work"),
        image_file_(*image_file),
        options_(options),
        met_(*met) {}

  ExploreResult Run() {
    Session session{work_path_, granularity_, nullptr};
    SparseImage base(kPoolSizeMin);
    Contents contents;
    if (Status s = Prepare(&session, &contents, &base); !s.ok()) {
      Fail(workload_.name + ", prepared", s.ToString());
      return std::move(result_);
    }
    const uint64_t before = Grown(session);
    const Recording recording = Record(session, workload_.threads, {contents},
                                       {options_.leave_out, workload_.interleave_seed});
    result_.left_out += recording.left_out;
    const bool grew = workload_.must_grow == nullptr || Grown(session) > before;
    const bool met = workload_.must_meet == nullptr ||
                     TimesMet(recording, workload_.must_meet) >= workload_.must_meet_times;
    if (session.pool != nullptr) (void)session.Close();
    unlink(work_path_.c_str());
    if (!recording.failure.ok()) {
      Fail(workload_.name + ", recorded", recording.failure.ToString());
    } else if (!grew || !met) {
      Fail(workload_.name + ", recorded", "the workload does not do what its name says");
    } else {
      ExploreLevel(
          {0, fmt::format("{}/{}/{}", workload_.name, GranularityName(granularity_), options_.seed),
           recording, base, MemoryModel(granularity_, ReaderOf(base)), options_.images,
           options_.roots});
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
    *base = SparseImage::OfMapping(map.base(), OffsetOf(map.frames()));
    return Status();
  }

  bool Enough() const { return result_.failures.size() >= options_.failures_max; }
  void Fail(const std::string& name, const std::string& problem) {
    result_.failures.push_back(fmt::format("{}: {}", name, problem));
  }
  uint64_t SeedOf(size_t event, unsigned level, uint64_t salt) const {
    return Mix64(options_.seed ^ Mix64(event * 2 + 1) ^ (salt * 8 + level));
  }

  std::optional<Target> TargetAt(const std::string& prefix) const {
    if (!options_.replay.starts_with(prefix + "/")) return std::nullopt;
    std::string rest = options_.replay.substr(prefix.size() + 1);
    Target target;
    if (const size_t plus = rest.find('+'); plus != rest.npos) {
      target.script = static_cast<unsigned>(std::strtoul(rest.c_str() + plus + 1, nullptr, 10));
      rest.resize(plus);
    }
    target.event = std::strtoull(rest.c_str(), nullptr, 10);
    target.image = rest.substr(std::min(rest.size(), rest.find('.') + 1));
    return target;
  }

  std::vector<Group> Plan(const Level& level) {
    std::vector<Group> groups;
    ForEachMoment(level.recording, level.model, [&](const Moment& moment) {
      if (moment.is_new || groups.empty()) {
        groups.push_back({moment.event, CrashImages(*moment.model, 0).count(), false});
      }
      const bool is_return = moment.id == nullptr && level.number == 0;
      const bool is_first = moment.id != nullptr && met_[level.number].insert(moment.id).second;
      groups.back().must_be_explored |= is_return || is_first;
      return true;
    });
    const uint64_t most = std::max<uint64_t>(1, level.budget / 2);
    std::erase_if(groups, [&, all = groups.size()](const Group& group) {
      return !group.must_be_explored && SeedOf(group.event, level.number, 3) % all >= most;
    });
    return groups;
  }

  // Moments from which the next level starts, with the number of the image for it.
  std::map<size_t, uint64_t> ChooseRoots(const Level& level, const std::vector<Group>& groups) {
    std::vector<std::pair<size_t, uint64_t>> all;
    Random random(SeedOf(0, level.number, 4));
    for (const Group& group : groups) {
      if (group.count > 1) all.emplace_back(group.event, random.Below(group.count));
    }
    while (all.size() > level.roots) {
      all.erase(all.begin() + static_cast<ptrdiff_t>(random.Below(all.size())));
    }
    return {all.begin(), all.end()};
  }

  // Each is the root of two recordings.
  unsigned RootsOfFirst() const {
    return static_cast<unsigned>(
        std::max<uint64_t>(1, options_.later_images / (2 * kImagesOfALevelMin)) < options_.roots
            ? std::max<uint64_t>(1, options_.later_images / (2 * kImagesOfALevelMin))
            : options_.roots);
  }
  unsigned RootsOf(unsigned level) const {
    if (level == 0) return options_.later_images == 0 ? 0 : RootsOfFirst();
    const uint64_t third = options_.later_images / kThirdLevelShare;
    const bool worth_it = third / (4 * RootsOfFirst()) >= kImagesOfALevelMin;
    return level == 1 && worth_it ? kThirdLevelRoots : 0;
  }

  void ExploreLevel(const Level& level) {
    if (!options_.replay.empty()) return ReplayLevel(level);
    const std::vector<Group> groups = Plan(level);
    const std::map<size_t, uint64_t> root_of =
        level.number + 1 < kLevels ? ChooseRoots(level, groups) : std::map<size_t, uint64_t>();
    const uint64_t each = ImagesOfEach(groups, level.budget);
    std::set<size_t> events;
    for (const Group& group : groups) events.insert(group.event);
    std::vector<Root> roots;
    uint64_t images = 0;
    ForEachMoment(level.recording, level.model, [&](const Moment& moment) {
      if (moment.is_new) images = 0;
      if (events.contains(moment.event)) {
        images = ExploreMoment(level, moment, each);
        const auto root = root_of.find(moment.event);
        if (root != root_of.end()) AddRoots(level, moment, root->second, &roots);
      }
      Count(level, moment, images);
      return !Enough();
    });
    ExploreRoots(level, roots);
  }

  uint64_t ExploreMoment(const Level& level, const Moment& moment, uint64_t wanted) {
    result_.coverage.moments++;
    const SparseImage durable = DurableImage(level.base, *moment.model);
    const CrashImages all(*moment.model, SeedOf(moment.event, level.number, 0));
    uint64_t images = 0;
    for (const uint64_t i : all.Sample(wanted)) {
      (void)ExamineImage(level, moment, i, durable, all.At(i));
      images++;
      if (Enough()) break;
    }
    return images;
  }

  // A power failure, and a kill.
  void AddRoots(const Level& level, const Moment& moment, uint64_t image,
                std::vector<Root>* roots) {
    const SparseImage durable = DurableImage(level.base, *moment.model);
    const CrashImage lines =
        CrashImages(*moment.model, SeedOf(moment.event, level.number, 0)).At(image);
    if (const auto found = ExamineImage(level, moment, image, durable, lines)) {
      SparseImage failed = WithLines(durable, lines);
      MemoryModel model(granularity_, ReaderOf(failed));
      roots->push_back({NameOf(level, moment, fmt::format("{}", image)),
                        std::move(failed),
                        std::move(model),
                        {*found}});
    }
    if (!moment.may_be_no_pool) roots->push_back(Killed(level, moment, durable));
  }

  Root Killed(const Level& level, const Moment& moment, const SparseImage& durable) const {
    Root killed{NameOf(level, moment, "kill"), WithLines(durable, EverythingStored(*moment.model)),
                *moment.model, moment.legal()};
    killed.model.Kill();
    return killed;
  }

  std::string NameOf(const Level& level, const Moment& moment, const std::string& image) const {
    return fmt::format("{}/{}.{}", level.prefix, moment.event, image);
  }

  void ExploreRoots(const Level& level, const std::vector<Root>& roots) {
    const uint64_t third = options_.later_images / kThirdLevelShare;
    const uint64_t of_level =
        level.number == 0 ? options_.later_images - third : third / (2 * RootsOfFirst());
    for (size_t i = 0; i < roots.size() && !Enough(); i++) {
      // The scripts in turn, for failures and kills alike.
      const auto script =
          static_cast<unsigned>((i + i / 2 + level.number + options_.seed) % kScripts);
      ExploreBehind(roots[i], script, level.number + 1,
                    std::max<uint64_t>(1, of_level / roots.size()));
    }
  }

  void ExploreBehind(const Root& root, unsigned number, unsigned level, uint64_t budget) {
    const std::string prefix = fmt::format("{}+{}", root.name, number);
    NowDoing(prefix);
    Session session{work_path_, granularity_, nullptr};
    if (!root.file.WriteTo(work_path_)) return Fail(prefix, "cannot write the file");
    const Script script = MakeScript(number, root.legal);
    Recording recording = Record(session, {script.operations}, root.legal, {options_.leave_out, 0});
    recording.reader = script.reader;
    recording.read = *script.read;
    result_.left_out += recording.left_out;
    if (session.pool != nullptr) (void)session.Close();
    unlink(work_path_.c_str());
    if (!recording.failure.ok()) return Fail(prefix, recording.failure.ToString());
    ExploreLevel({level, prefix, recording, root.file, root.model, budget, kThirdLevelRoots});
  }

  // What was found in it is returned if it is a good pool.
  std::optional<Contents> ExamineImage(const Level& level, const Moment& moment, uint64_t number,
                                       const SparseImage& durable, const CrashImage& lines) {
    const std::string name = NameOf(level, moment, fmt::format("{}", number));
    NowDoing(name);
    result_.coverage.images_by_level[level.number]++;
    result_.coverage.by_workload[workload_.name]++;
    const bool write_much = number % kWriteMuchOneIn == 5;
    const Examination found =
        ExamineLines(moment, durable, lines, write_much, !options_.replay.empty());
    if (found.problem.empty()) {
      return found.is_pool ? std::optional(found.contents) : std::nullopt;
    }
    const char* const where = moment.id == nullptr ? "return" : moment.id;
    Fail(name,
         fmt::format("crash at {}: {}{}", where, found.problem,
                     options_.minimise ? Minimal(name, moment, durable, lines, write_much) : ""));
    return std::nullopt;
  }

  Examination ExamineLines(const Moment& moment, const SparseImage& durable,
                           const CrashImage& lines, bool write_much, bool in_all_ways) {
    const SparseImage image = WithLines(durable, lines);
    image_file_.Load(image);
    const ImageFile::Watch watch(image_file_);
    ExamineOptions examine{granularity_, moment.may_be_no_pool, write_much};
    if (image_file_.loads() % kReadOnlyOneIn == 0 || in_all_ways) {
      const bool thorough = image_file_.loads() % (16 * kReadOnlyOneIn) == 0;
      examine.is_unchanged = [&, thorough] { return image_file_.Holds(image, thorough); };
    }
    examine.reopen = image_file_.loads() % kReadOnlyOneIn == 1 || in_all_ways;
    return Examine(image_file_.path(), moment.legal(), examine);
  }

  // Takes out of a failing image what it fails without, keeps it, and says how to see it again.
  std::string Minimal(const std::string& name, const Moment& moment, const SparseImage& durable,
                      CrashImage lines, bool write_much) {
    for (size_t i = 0; i < lines.size();) {
      CrashImage fewer = lines;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
      if (ExamineLines(moment, durable, fewer, write_much, true).problem.empty()) {
        i++;
      } else {
        lines = std::move(fewer);
      }
    }
    std::string text = fmt::format("\n  seed {}; {} lines suffice:", options_.seed, lines.size());
    for (const auto& [offset, line] : lines) {
      text +=
          fmt::format(" {:#x} (pfn {} + {})", offset, offset >> kFrameShift, offset % kFrameSize);
    }
    text += fmt::format("\n  again: crash_test --replay {}", name);
    std::string file = "tuff-crash-" + name;
    std::replace_if(
        file.begin(), file.end(), [](char c) { return c == '/' || c == '+'; }, '_');
    file = KeptRoot() + "/" + file;
    const bool kept = WriteKept(
        file, {granularity_, moment.may_be_no_pool, moment.legal(), WithLines(durable, lines)});
    return text + (kept ? "\n  or just this image: crash_test --examine " + file : "");
  }

  static std::string KeptRoot() {
    const char* const from_env = std::getenv("TMPDIR");
    return from_env != nullptr && *from_env != '\0' ? from_env : "/tmp";
  }

  void ReplayLevel(const Level& level) {
    const std::optional<Target> target = TargetAt(level.prefix);
    if (!target) return;
    std::optional<Root> root;
    ForEachMoment(level.recording, level.model, [&](const Moment& moment) {
      if (moment.event != target->event) return true;
      const SparseImage durable = DurableImage(level.base, *moment.model);
      if (target->image == "kill") {
        root = Killed(level, moment, durable);
        return false;
      }
      const CrashImages all(*moment.model, SeedOf(moment.event, level.number, 0));
      const uint64_t image = std::strtoull(target->image.c_str(), nullptr, 10);
      if (image >= all.count()) return false;
      const CrashImage lines = all.At(image);
      const auto found = ExamineImage(level, moment, image, durable, lines);
      if (found && target->script) {
        SparseImage failed = WithLines(durable, lines);
        MemoryModel model(granularity_, ReaderOf(failed));
        root = Root{
            NameOf(level, moment, target->image), std::move(failed), std::move(model), {*found}};
      }
      return false;
    });
    if (root && target->script) ExploreBehind(*root, *target->script, level.number + 1, 0);
  }

  void Count(const Level& level, const Moment& moment, uint64_t images) {
    if (moment.id == nullptr) return;
    Coverage::Of& of = result_.coverage.by_id[moment.id];
    of.images[static_cast<size_t>(granularity_)] += images;
    if (level.number == 0) of.workloads.insert(workload_.name);
  }

  const Workload& workload_;
  const Granularity granularity_;
  const std::string work_path_;
  ImageFile& image_file_;
  const ExploreOptions& options_;
  StepsMet& met_;
  ExploreResult result_;
};

}  // namespace

ExploreResult Explore(const Workload& workload, Granularity granularity,
                      const std::string& directory, const ExploreOptions& options) {
  ImageFile image_file(directory + "/image", kPoolSizeMin);
  StepsMet met;
  return Explorer(workload, granularity, directory, options, &image_file, &met).Run();
}

std::vector<ExploreResult> ExploreAllIsolated(const std::vector<Expedition>& expeditions) {
  std::vector<std::unique_ptr<TempDir>> dirs;
  while (dirs.size() < expeditions.size()) dirs.push_back(std::make_unique<TempDir>());
  std::vector<ExploreResult> results(expeditions.size());
  const auto explore = [&](size_t number) {
    const auto& [workloads, granularity, options] = expeditions[number];
    const TempDir& dir = *dirs[number];
    ImageFile image_file(dir.File("image"), kPoolSizeMin);
    StepsMet met;
    ExploreResult sum;
    for (const std::string& name : workloads) {
      NowDoing(name + ", the dry run");
      const Workload made = MakeWorkload(name, {dir.File("dry"), granularity});
      NowDoing(name + ", the recording");
      sum.Add(Explorer(made, granularity, dir.path(), options, &image_file, &met).Run());
      if (sum.failures.size() >= options.failures_max) break;
    }
    return ToText(sum);
  };
  RunManyIsolated(expeditions.size(), explore, [&](size_t number, const Isolated& isolated) {
    dirs[number].reset();
    results[number] = FromText(isolated.output);
    if (!isolated.death.empty()) results[number].failures.push_back(isolated.death);
  });
  return results;
}

ExploreResult ExploreIsolated(const std::string& workload, Granularity granularity,
                              const ExploreOptions& options) {
  return ExploreAllIsolated({{{workload}, granularity, options}})[0];
}

std::string ExamineKept(const std::string& path) {
  const std::optional<KeptImage> kept = ReadKept(path);
  if (!kept) return path + " is no crash image that was kept";
  const TempDir dir;
  ImageFile image_file(dir.File("image"), kept->image.bytes());
  image_file.Load(kept->image);
  ExamineOptions options{kept->granularity, kept->may_be_no_pool, false};
  options.is_unchanged = [&] { return image_file.Holds(kept->image, true); };
  return Examine(image_file.path(), kept->legal, options).problem;
}

}  // namespace tuff::test
