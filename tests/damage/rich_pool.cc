#include "tests/damage/rich_pool.h"

#include <fmt/format.h>

#include <condition_variable>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>

#include "pagemap/steps.h"
#include "tests/crash/isolate.h"

namespace tuff::test {
namespace {

// Where the threads of the scene stand when the pool is killed; each is in one change.
struct Role {
  const char* stops_at;
  std::function<Status()> change;
};

thread_local const char* my_stop = nullptr;

// Stops threads at the step of their role, and the worker behind its first step, until Go.
class Scene : public StepObserver {
 public:
  Scene() { SetStepObserver(this); }
  ~Scene() override { SetStepObserver(nullptr); }

  void OnPoint(const Step& step) override {
    const bool worker = worker_stops_ && std::strcmp(step.id, "change.13") == 0;
    if (!worker && (my_stop == nullptr || std::strcmp(step.id, my_stop) != 0)) return;
    std::unique_lock lock(mutex_);
    if (!worker) my_stop = nullptr;
    standing_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return worker ? worker_may_go_ : may_go_; });
  }
  void StopWorker() { worker_stops_ = true; }
  void AwaitStanding(int threads) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return standing_ >= threads; });
  }
  void Go(bool worker) {
    std::lock_guard lock(mutex_);
    (worker ? worker_may_go_ : may_go_) = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int standing_ = 0;
  std::atomic<bool> worker_stops_{false};
  bool may_go_ = false;
  bool worker_may_go_ = false;
};

std::string Value(const std::string& key, int version, size_t bytes) {
  std::string value = fmt::format("{} {} ", key.substr(0, 20), version);
  while (value.size() < bytes) value += value;
  return value.substr(0, bytes);
}

void Append(const std::string& file, const SparseImage& image) {
  std::ofstream out(file, std::ios::binary);
  for (const auto& [pfn, frame] : image.frames()) {
    out.write(reinterpret_cast<const char*>(&pfn), sizeof pfn);
    out.write(reinterpret_cast<const char*>(frame->data()), kFrameSize);
  }
}

SparseImage ReadBack(const std::string& file) {
  SparseImage image(kPoolSizeMin);
  const std::string bytes = ReadWholeFile(file);
  constexpr size_t kEach = sizeof(Pfn) + kFrameSize;
  for (size_t at = 0; at + kEach <= bytes.size(); at += kEach) {
    Pfn pfn = 0;
    std::memcpy(&pfn, bytes.data() + at, sizeof pfn);
    for (size_t line = 0; line < kFrameSize; line += 64) {
      SparseImage::Line text;
      std::memcpy(text.data(), bytes.data() + at + sizeof pfn + line, 64);
      image.SetLine(OffsetOf(pfn) + line, text);
    }
  }
  return image;
}

void WriteContents(const std::string& file, const Contents& contents) {
  std::ofstream out(file, std::ios::binary);
  for (const auto& [key, value] : contents) {
    for (const std::string& text : {key, value}) {
      const uint64_t n = text.size();
      out.write(reinterpret_cast<const char*>(&n), sizeof n);
      out.write(text.data(), static_cast<std::streamsize>(n));
    }
  }
}

Contents ReadContentsBack(const std::string& file) {
  Contents contents;
  const std::string bytes = ReadWholeFile(file);
  size_t at = 0;
  const auto next = [&] {
    uint64_t n = 0;
    std::memcpy(&n, bytes.data() + at, sizeof n);
    at += sizeof n + n;
    return bytes.substr(at - n, n);
  };
  while (at < bytes.size()) {
    const std::string key = next();
    contents[key] = next();
  }
  return contents;
}

class Builder {
 public:
  explicit Builder(const std::string& dir) : dir_(dir) {}

  // What went wrong, or nothing.
  std::string Run() {
    CreateOptions options = SmallPool();
    options.memmap = MemmapPlace::kDram;
    auto pool = Pool::Create(dir_ + "/pool", options);
    if (!pool.ok()) return pool.status().ToString();
    pool_ = std::move(*pool);
    Scene scene;
    Status s = Fill();
    if (s.ok()) s = PlayScene(scene);
    if (!s.ok()) return s.ToString();
    return Recovered();
  }

 private:
  Status Fill() {
    for (const auto step :
         {&Builder::FillDeep, &Builder::FillSmall, &Builder::FillLong, &Builder::FillLogs,
          &Builder::FillDoomed, &Builder::FillLogs, &Builder::FillTail}) {
      if (Status s = (this->*step)(); !s.ok()) return s;
      Snap();
    }
    return FillForChanges();
  }

  // Long separators, so that 15 records of 16 children each need three levels.
  Status FillDeep() {
    Random random(1);
    for (int cluster = 0; cluster < 20; cluster++) {
      std::string stem = fmt::format("{:02}", cluster * 7 % 20);
      while (stem.size() < 110) stem += static_cast<char>('a' + random.Below(26));
      for (int i = 0; i < 45; i++) {
        const std::string key = fmt::format("{}{:02}", stem, i * 17 % 45);
        if (Status s = Put("deep", key, Value(key, 0, 12)); !s.ok()) return s;
      }
      if (cluster % 8 == 7) Snap();
    }
    const CheckReport report = Check(*pool_);
    if (report.depth_max < 3) return Status(Code::kCorruption, "the tree is not deep");
    return Status();
  }

  Status FillSmall() {
    for (int i = 0; i < 60; i++) {
      const std::string key = fmt::format("key{:03}", i * 7 % 60);
      if (Status s = Put("small", key, Value(key, 0, 40)); !s.ok()) return s;
    }
    if (Status s = pool_->RenameStore("small", "renamed"); !s.ok()) return s;
    for (const auto& [key, value] : Contents(model_)) {
      if (!key.starts_with("small")) continue;
      model_["renamed" + key.substr(5)] = value;
      model_.erase(key);
    }
    return Status();
  }

  Status FillLong() {
    for (int i = 0; i < 24; i++) {
      const std::string key = std::string(static_cast<size_t>(1 + i * 10), 'l') + "x";
      const size_t bytes = i % 8 == 5 ? 15000 : static_cast<size_t>(i) * 60;
      if (Status s = Put("long", key, Value(key, 0, bytes)); !s.ok()) return s;
      if (i % 8 == 6) Snap();
    }
    return Status();
  }

  // One leaf whose log has puts, deletes, and a group; each call leaves more in it.
  Status FillLogs() {
    const int version = calls_++;
    for (int i = 0; i < (version == 0 ? 24 : 3); i++) {
      const std::string key = fmt::format("log{:02}", i);
      if (Status s = Put("logs", key, Value(key, version, 50)); !s.ok()) return s;
    }
    Snap();
    WriteBatch batch;
    auto store = pool_->OpenStore("logs");
    if (!store.ok()) return store.TakeStatus();
    for (int i = 5; i < 8; i++) {
      const std::string key = fmt::format("log{:02}", i);
      if (Status s = batch.Put(**store, key, Value(key, 10 + version, 30)); !s.ok()) return s;
      model_["logs/" + key] = Value(key, 10 + version, 30);
    }
    if (Status s = pool_->Write(batch); !s.ok()) return s;
    Snap();
    if (Status s = Delete("logs", fmt::format("log{:02}", 10 + version)); !s.ok()) return s;
    return Put("logs", "log01", Value("log01", 20 + version, 70));
  }

  Status FillDoomed() {
    auto doomed = pool_->CreateStore("doomed");
    if (!doomed.ok()) return doomed.TakeStatus();
    auto loader = (*doomed)->NewBulkLoader();
    if (!loader.ok()) return loader.TakeStatus();
    for (int i = 0; i < 4500; i++) {
      const std::string key = fmt::format("key{}", 10000 + i);
      if (Status s = (*loader)->Add(key, Value(key, 0, 140)); !s.ok()) return s;
    }
    Status s = (*loader)->Finish();
    loader = Status(Code::kBusy, "finished");
    return s.ok() ? pool_->WaitForBackgroundWork() : std::move(s);
  }

  // A leaf that has just been rewritten, and a log with one of each kind.
  Status FillTail() {
    const auto rewritten = [&] {
      const Statistics statistics = pool_->GetStatistics();
      return statistics.consolidations;
    };
    const uint64_t before = rewritten();
    for (int i = 0; rewritten() == before; i++) {
      const std::string key = fmt::format("tail{}", i % 9);
      if (Status s = Put("tail", key, Value(key, i, 30)); !s.ok()) return s;
    }
    Snap();
    auto store = pool_->OpenStore("tail");
    if (!store.ok()) return store.TakeStatus();
    WriteBatch batch;
    for (const std::string key : {"tail1", "tail3", "new"}) {
      if (Status s = batch.Put(**store, key, Value(key, 100, 30)); !s.ok()) return s;
      model_["tail/" + key] = Value(key, 100, 30);
    }
    if (Status s = pool_->Write(batch); !s.ok()) return s;
    Snap();
    if (Status s = Put("tail", "tail5", Value("tail5", 101, 30)); !s.ok()) return s;
    return Delete("tail", "tail2");
  }

  static std::string ChangeKey(int i) { return fmt::format("key{:03}", i * 37 % 100); }

  // Three stores, each one write before a split or a merge; how many writes that is, is found out
  // with a fourth one.
  Status FillForChanges() {
    const auto counted = [&] {
      const Statistics statistics = pool_->GetStatistics();
      return statistics.splits + statistics.merges;
    };
    const uint64_t before = counted();
    int puts = 0;
    for (; counted() == before; puts++) {
      if (Status s = PutChange("dry", puts); !s.ok()) return s;
    }
    int deletes = 0;
    for (; counted() == before + 1; deletes++) {
      if (deletes == puts) return Status(Code::kCorruption, "nothing is merged");
      if (Status s = Delete("dry", ChangeKey(deletes)); !s.ok()) return s;
    }
    for (const char* const name : {"split before", "split after"}) {
      for (int i = 0; i + 1 < puts; i++) {
        if (Status s = PutChange(name, i); !s.ok()) return s;
      }
    }
    for (int i = 0; i < puts; i++) {
      if (Status s = PutChange("merge", i); !s.ok()) return s;
    }
    for (int i = 0; i + 1 < deletes; i++) {
      if (Status s = Delete("merge", ChangeKey(i)); !s.ok()) return s;
    }
    puts_ = puts;
    deletes_ = deletes;
    Snap();
    return Status();
  }

  Status PutChange(const std::string& name, int i) {
    return Put(name, ChangeKey(i), Value(ChangeKey(i), i, 100));
  }

  Status PutBatch(const std::vector<std::string>& names, const std::vector<std::string>& keys,
                  size_t bytes) {
    WriteBatch batch;
    for (const std::string& name : names) {
      auto store = pool_->OpenStore(name);
      if (!store.ok()) return store.TakeStatus();
      for (const std::string& key : keys) {
        if (Status s = batch.Put(**store, key, Value(key, 99, bytes)); !s.ok()) return s;
      }
    }
    return pool_->Write(batch);
  }

  Status PlayScene(Scene& scene) {
    scene.StopWorker();
    if (Status s = pool_->DropStore("doomed"); !s.ok()) return s;
    scene.AwaitStanding(1);
    const std::vector<std::string> few = {"log02", "key010"};
    const std::vector<std::string> many = {"lx", "lllx", "zz", "lllllllx"};
    const std::vector<Role> roles = {
        {"batch.6",
         [&] {
           return PutBatch({"logs", "renamed"}, few, 30);
         }},
        {"batch.6",
         [&] {
           return PutBatch({"deep", "long"}, many, 900);
         }},
        {"smo.5", [&] { return WriteChange("split before", puts_ - 1, true); }},
        {"smo.10", [&] { return WriteChange("split after", puts_ - 1, true); }},
        {"smo.6", [&] { return WriteChange("merge", deletes_ - 1, false); }},
    };
    std::vector<Status> statuses(roles.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < roles.size(); i++) {
      threads.emplace_back([&, i] {
        my_stop = roles[i].stops_at;
        statuses[i] = roles[i].change();
      });
      scene.AwaitStanding(static_cast<int>(i) + 2);
    }
    NoteScene(few, many);
    Save("unclean");
    scene.Go(false);
    for (std::thread& thread : threads) thread.join();
    for (const Status& s : statuses) {
      if (!s.ok()) return s;
    }
    auto found = ReadContents(*pool_);
    if (!found.ok()) return found.TakeStatus();
    if (const auto wrong = Difference(model_, *found); !wrong.empty()) {
      return Status(Code::kCorruption, wrong);
    }
    WriteStores();
    std::thread closing([&] { statuses[0] = pool_->Close(); });
    // The worker sees that it is to stop before its next step.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    scene.Go(true);
    closing.join();
    pool_.reset();
    if (statuses[0].ok()) std::filesystem::copy_file(dir_ + "/pool", dir_ + "/clean.pool");
    return std::move(statuses[0]);
  }

  Status WriteChange(const std::string& name, int i, bool put) {
    auto store = pool_->OpenStore(name);
    if (!store.ok()) return store.TakeStatus();
    return put ? (*store)->Put(ChangeKey(i), Value(ChangeKey(i), i, 100))
               : (*store)->Delete(ChangeKey(i));
  }

  void NoteScene(const std::vector<std::string>& few, const std::vector<std::string>& many) {
    const auto note = [&](const std::string& name, const auto& keys, size_t bytes) {
      for (const std::string& key : keys) model_[name + "/" + key] = Value(key, 99, bytes);
    };
    note("logs", few, 30);
    note("renamed", few, 30);
    note("deep", many, 900);
    note("long", many, 900);
    const std::string last = ChangeKey(puts_ - 1);
    model_.erase("doomed");
    model_.erase("merge/" + ChangeKey(deletes_ - 1));
    model_["split after/" + last] = Value(last, puts_ - 1, 100);
    recovered_ = model_;
    model_["split before/" + last] = Value(last, puts_ - 1, 100);
  }

  // Opens what has been killed, and notes what its file is when its lanes have been seen to.
  std::string Recovered() {
    const std::string path = dir_ + "/killed.pool";
    if (!ReadBack(dir_ + "/unclean.image").WriteTo(path)) return "cannot write the image";
    class Noter : public StepObserver {
     public:
      Noter(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {
        SetStepObserver(this);
      }
      ~Noter() override { SetStepObserver(nullptr); }
      void OnPoint(const Step& step) override {
        if (std::strcmp(step.id, "mount.2") == 0) std::filesystem::copy_file(from_, to_);
      }

     private:
      const std::string from_;
      const std::string to_;
    } noter(path, dir_ + "/recovered.pool");
    OpenOptions options = SmallPool().open;
    options.memmap = MemmapPlace::kDram;
    auto pool = Pool::Open(path, options);
    if (!pool.ok()) return pool.status().ToString();
    const Statistics statistics = (*pool)->GetStatistics();
    if (statistics.batches_replayed != 2 || statistics.lanes_recovered < 3) {
      return fmt::format("{} batches replayed, {} lanes recovered", statistics.batches_replayed,
                         statistics.lanes_recovered);
    }
    if (Status s = (*pool)->WaitForBackgroundWork(); !s.ok()) return s.ToString();
    auto found = ReadContents(**pool);
    if (!found.ok()) return found.status().ToString();
    WriteContents(dir_ + "/contents", model_);
    WriteContents(dir_ + "/recovered.contents", recovered_);
    return Difference(recovered_, *found) + Problems(**pool);
  }

  void WriteStores() {
    std::ofstream out(dir_ + "/stores");
    const auto stores = pool_->ListStores();
    for (const StoreInfo& info : *stores) out << info.object_id << '\n' << info.name << '\n';
  }

  Status Put(const std::string& name, const std::string& key, const std::string& value) {
    auto store = pool_->OpenOrCreateStore(name);
    if (!store.ok()) return store.TakeStatus();
    model_[name];
    model_[name + "/" + key] = value;
    return (*store)->Put(key, value);
  }
  Status Delete(const std::string& name, const std::string& key) {
    auto store = pool_->OpenStore(name);
    if (!store.ok()) return store.TakeStatus();
    model_.erase(name + "/" + key);
    return (*store)->Delete(key);
  }
  void Snap() { Save(fmt::format("{:03}", snaps_++)); }
  void Save(const std::string& name) {
    PageMap& map = PoolTestPeer::Map(*pool_);
    Append(dir_ + "/" + name + ".image",
           SparseImage::OfMapping(map.base(), OffsetOf(map.frames())));
  }

  const std::string dir_;
  std::unique_ptr<Pool> pool_;
  Contents model_;
  Contents recovered_;
  int calls_ = 0;
  int snaps_ = 0;
  int puts_ = 0;
  int deletes_ = 0;
};

SparseImage OfFile(const std::string& file) {
  const std::string bytes = ReadWholeFile(file);
  return SparseImage::OfMapping(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

}  // namespace

RichPool MakeRichPool(std::string* failure) {
  TempDir dir;
  const Isolated built = RunIsolated([&] { return Builder(dir.path()).Run(); });
  *failure = built.death + built.output;
  RichPool rich;
  if (!failure->empty()) return rich;
  rich.clean = OfFile(dir.File("clean.pool"));
  rich.recovered = OfFile(dir.File("recovered.pool"));
  rich.unclean = ReadBack(dir.File("unclean.image"));
  for (int i = 0; std::filesystem::exists(dir.File(fmt::format("{:03}.image", i))); i++) {
    rich.earlier.push_back(ReadBack(dir.File(fmt::format("{:03}.image", i))));
  }
  rich.contents = ReadContentsBack(dir.File("contents"));
  rich.contents_recovered = ReadContentsBack(dir.File("recovered.contents"));
  std::ifstream stores(dir.File("stores"));
  std::string id;
  std::string name;
  while (std::getline(stores, id) && std::getline(stores, name)) {
    rich.stores[static_cast<uint32_t>(std::stoul(id))] = name;
  }
  return rich;
}

const RichPool& TheRichPool() {
  static const RichPool pool = [] {
    std::string failure;
    RichPool made = MakeRichPool(&failure);
    EXPECT_EQ(failure, "");
    return made;
  }();
  return pool;
}

}  // namespace tuff::test
