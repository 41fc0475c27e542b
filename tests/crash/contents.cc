#include "tests/crash/contents.h"

#include <fmt/format.h>

#include <algorithm>

namespace tuff::test {
namespace {

std::string Printable(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 40)) {
    out += c >= ' ' && c <= '~' ? std::string(1, c)
                                : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text.size() > 40 ? out + fmt::format("... ({} bytes)", text.size()) : out;
}

OpenOptions OpenAs(Granularity granularity, bool read_only) {
  OpenOptions options;
  options.read_only = read_only;
  options.force_granularity = granularity;
  options.background_consolidation = false;
  options.guard = TestGuard();
  return options;
}

// Writes to the pool and to the contents alike.
class Writer {
 public:
  Writer(Pool& pool, Contents* contents) : pool_(pool), contents_(contents) {}

  Status Run(bool write_much) {
    const auto first = std::find_if(contents_->begin(), contents_->end(), [](const auto& c) {
      return c.first.find('/') == c.first.npos;
    });
    const std::string name = first == contents_->end() ? "afterwards" : first->first;
    auto store = pool_.OpenOrCreateStore(name);
    if (!store.ok()) return store.TakeStatus();
    (*contents_)[name] = "";

    // Every key in the neighbourhood of what the crash may have torn: the first, the last, new
    // ones.
    std::vector<std::string> keys;
    const std::string prefix = name + "/";
    for (auto at = contents_->lower_bound(prefix);
         at != contents_->end() && at->first.starts_with(prefix); ++at) {
      keys.push_back(at->first.substr(prefix.size()));
    }
    if (!keys.empty()) {
      if (Status s = Put(**store, prefix, keys.back(), "last"); !s.ok()) return s;
      if (Status s = Put(**store, prefix, keys[keys.size() / 2], std::string(90, 'm')); !s.ok()) {
        return s;
      }
      const std::string& gone = keys.front();
      if (Status s = (*store)->Delete(gone); !s.ok()) return s;
      contents_->erase(prefix + gone);
    }
    for (int i = 0; i < (write_much ? 40 : 2); i++) {
      const std::string key = fmt::format("{}new{}", i % 2 == 0 ? "" : "~", i / 2);
      if (Status s = Put(**store, prefix, key, fmt::format("value {}", i)); !s.ok()) return s;
    }
    return PutBatch();
  }

 private:
  // Over all stores.
  Status PutBatch() {
    WriteBatch batch;
    std::vector<std::string> names;
    for (const auto& [name, value] : *contents_) {
      if (name.find('/') == name.npos) names.push_back(name);
    }
    for (const std::string& name : names) {
      auto store = pool_.OpenStore(name);
      if (!store.ok()) return store.TakeStatus();
      for (const char* const key : {"!batch", "batch", "~batch"}) {
        if (Status s = batch.Put(**store, key, "of all"); !s.ok()) return s;
        (*contents_)[name + "/" + key] = "of all";
      }
    }
    return pool_.Write(batch);
  }

  Status Put(Store& store, const std::string& prefix, const std::string& key,
             const std::string& value) {
    (*contents_)[prefix + key] = value;
    return store.Put(key, value);
  }

  Pool& pool_;
  Contents* const contents_;
};

// What is wrong with an open pool that should hold `expected`.
std::string Wrong(Pool& pool, const Contents& expected) {
  auto contents = ReadContents(pool);
  if (!contents.ok()) return contents.status().ToString();
  const std::string difference = Difference(expected, *contents);
  return difference.empty() ? Problems(pool) : difference;
}

// Lets what was dropped go, and looks again.
std::string WrongAtRest(Pool& pool, const Contents& expected) {
  if (Status s = pool.WaitForBackgroundWork(); !s.ok()) return s.ToString();
  const CheckReport report = Check(pool);
  if (!report.problems.empty()) return report.ToString();
  if (report.buried > 0) return "the graveyard is not empty";
  const bool had_work = pool.GetStatistics().nodes_dismantled > 0;
  return had_work ? Wrong(pool, expected) : "";
}

std::string WriteAndReopen(std::unique_ptr<Pool> pool, const std::string& path, Contents expected,
                           const ExamineOptions& options) {
  if (std::string wrong = WrongAtRest(*pool, expected); !wrong.empty()) {
    return "after the background work: " + wrong;
  }
  if (Status s = Writer(*pool, &expected).Run(options.write_much); !s.ok()) {
    return "writing again: " + s.ToString();
  }
  if (std::string wrong = Wrong(*pool, expected); !wrong.empty()) {
    return "after writing again: " + wrong;
  }
  if (!options.reopen) return "";
  if (Status s = pool->Close(); !s.ok()) return "closing: " + s.ToString();
  pool.reset();
  auto reopened = Pool::Open(path, OpenAs(options.granularity, true));
  if (!reopened.ok()) return "opening read-only: " + reopened.status().ToString();
  if (std::string wrong = Wrong(**reopened, expected); !wrong.empty()) return "read-only: " + wrong;
  return "";
}

// Opens the pool and compares it with what may be there.
Examination Look(const std::string& path, bool read_only, const std::vector<Contents>& legal,
                 const ExamineOptions& options, std::unique_ptr<Pool>* pool) {
  Examination result;
  auto opened = Pool::Open(path, OpenAs(options.granularity, read_only));
  if (!opened.ok()) {
    const bool clean_refusal = options.may_be_no_pool && opened.status().IsCorruption();
    if (!clean_refusal) result.problem = "opening: " + opened.status().ToString();
    return result;
  }
  *pool = std::move(*opened);
  result.is_pool = true;
  auto contents = ReadContents(**pool);
  if (!contents.ok()) {
    result.problem = "reading: " + contents.status().ToString();
    return result;
  }
  result.contents = std::move(*contents);
  std::string difference;
  bool is_legal = false;
  for (const Contents& candidate : legal) {
    const std::string here = Difference(candidate, result.contents);
    is_legal |= here.empty();
    if (!here.empty()) difference += difference.empty() ? here : "; or " + here;
  }
  if (!is_legal) {
    result.problem = "contents: " + difference;
  } else if (std::string problems = Problems(**pool); !problems.empty()) {
    result.problem = "check: " + problems;
  }
  return result;
}

}  // namespace

Result<Contents> ReadContents(Pool& pool) {
  Contents contents;
  auto stores = pool.ListStores();
  if (!stores.ok()) return stores.TakeStatus();
  for (const StoreInfo& info : *stores) {
    contents[info.name] = "";
    auto store = pool.OpenStore(info.name);
    if (!store.ok()) return store.TakeStatus();
    const auto iterator = (*store)->NewIterator();
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      contents.emplace_hint(contents.end(), fmt::format("{}/{}", info.name, iterator->key()),
                            iterator->value());
    }
    if (!iterator->status().ok()) return iterator->status();
  }
  return contents;
}

std::string Difference(const Contents& expected, const Contents& found) {
  if (expected == found) return "";
  for (const auto& [key, value] : expected) {
    const auto at = found.find(key);
    if (at == found.end()) return fmt::format("'{}' is missing", Printable(key));
    if (at->second != value) {
      return fmt::format("'{}' is '{}', expected '{}'", Printable(key), Printable(at->second),
                         Printable(value));
    }
  }
  for (const auto& [key, value] : found) {
    if (!expected.contains(key)) return fmt::format("'{}' should not be there", Printable(key));
  }
  return "";
}

Examination Examine(const std::string& path, const std::vector<Contents>& legal,
                    const ExamineOptions& options) {
  Examination read;
  if (options.is_unchanged) {
    std::unique_ptr<Pool> pool;
    read = Look(path, true, legal, options, &pool);
    pool.reset();
    if (read.problem.empty() && !options.is_unchanged()) read.problem = "the file has changed";
    if (!read.problem.empty()) {
      read.problem = "read-only at first: " + read.problem;
      return read;
    }
  }
  std::unique_ptr<Pool> pool;
  Examination result = Look(path, false, legal, options, &pool);
  if (!result.problem.empty()) return result;
  if (options.is_unchanged && read.is_pool != result.is_pool) {
    result.problem = "only one of the two ways of opening finds a pool";
  } else if (options.is_unchanged && read.contents != result.contents) {
    result.problem = "read-only at first: " + Difference(result.contents, read.contents);
  } else if (result.is_pool) {
    result.problem = WriteAndReopen(std::move(pool), path, result.contents, options);
  }
  return result;
}

}  // namespace tuff::test
