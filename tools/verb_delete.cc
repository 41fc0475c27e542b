// tuff delete: removes a key, or a range of keys.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "tools/escape.h"
#include "tools/open_pool.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

/// The first key above all that begin with `prefix`; nothing if there is none.
std::optional<std::string> EndOfPrefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

std::string FormatKeys(uint64_t keys) {
  return fmt::format("{} key{}", keys, keys == 1 ? "" : "s");
}

class DeleteVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status CheckArguments();
  Status Delete(Pool* pool);
  Status DeleteRange(Store* store);

  PoolArguments pool_;
  std::string store_;
  std::optional<std::string> key_;
  ReadOptions range_;
  bool all_ = false;
  bool verbose_ = false;
  bool escaped_ = false;
  uint64_t deleted_ = 0;
};

void DeleteVerb::Declare(Command* command) {
  command->Usage("POOL STORE KEY [OPTIONS]");
  command->Usage("POOL STORE [--prefix BYTES] [--from KEY] [--to KEY] [--all] [-v] [OPTIONS]");
  command->AddExample("tuff delete /mnt/pmem/pool users ada", "remove a key");
  command->AddExample("tuff delete /mnt/pmem/pool users --escaped 'a\\tb'", "a key with a TAB");
  command->AddExample("tuff delete /mnt/pmem/pool users --prefix ad --verbose",
                      "all keys that begin with ad, and say how many there were");
  command->AddExample("tuff delete /mnt/pmem/pool log --to 2026-01", "all keys below this one");
  command->About(
      "Removes KEY and its value; when this returns, that is durable. Exit code 1 if there is no "
      "such key, store or pool.");
  command->About(
      "With bounds instead of KEY, removes every key between them, be there one or none. That is "
      "done by batches: what ends it early may leave a part done. (To remove a whole store at "
      "once, "
      "use drop.)");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  command->Optional("KEY", &key_);
  DeclareRange(command, &range_);
  command->Flag("--all", &all_, "Every key; needed where the bounds exclude none.");
  command->Flag("-v,--verbose", &verbose_, "Say how many keys were removed.");
  DeclareEscaped(command, &escaped_);
  DeclareOpenOptions(command, &pool_);
}

Status DeleteVerb::CheckArguments() {
  const bool range = range_.lower_bound || range_.upper_bound || range_.prefix || all_;
  const char* problem = nullptr;
  if (key_ && range) problem = "KEY and bounds exclude each other";
  if (!key_ && !range) problem = "KEY is missing";
  // Most likely a script's variable that is not set.
  if (!key_ && range && !all_ && !range_.upper_bound && range_.lower_bound.value_or("").empty() &&
      range_.prefix.value_or("").empty()) {
    problem = "these bounds exclude no key; --all says that this is meant";
  }
  if (problem != nullptr) {
    return {Code::kInvalidArgument, fmt::format("{}; see 'tuff delete --help'", problem)};
  }
  if (Status s = DecodeWord(escaped_, "KEY", &key_); !s.ok()) return s;
  return DecodeRange(escaped_, &range_);
}

Status DeleteVerb::DeleteRange(Store* store) {
  const std::string prefix = range_.prefix.value_or("");
  const std::string begin = std::max(range_.lower_bound.value_or(""), prefix);
  std::optional<std::string> end = EndOfPrefix(prefix);
  if (range_.upper_bound && (!end || *range_.upper_bound < *end)) end = range_.upper_bound;
  if (end && *end <= begin) return {};
  return store->DeleteRange(begin, end, &deleted_);
}

Status DeleteVerb::Delete(Pool* pool) {
  Result<Store*> store = pool->OpenStore(store_);
  if (!store.ok()) return store.TakeStatus();
  if (!key_) return DeleteRange(*store);
  Status status = (*store)->Delete(*key_);
  if (!status.IsNotFound()) {
    deleted_ = 1;
    return status;
  }
  return {Code::kNotFound, fmt::format("no key {} in store {}", Quoted(*key_), Quoted(store_))};
}

Outcome DeleteVerb::Run(const Context& context) {
  if (Status s = CheckArguments(); !s.ok()) return s;
  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status = CloseAfter(pool->get(), InPool(pool_, Delete(pool->get())));
  if (!status.ok() && !key_ && deleted_ > 0) {
    return {ExitCodeOf(status.code()),
            fmt::format("{}; {} removed before that", status.message(), FormatKeys(deleted_))};
  }
  if (status.ok() && verbose_) context.output->Write(FormatKeys(deleted_) + '\n');
  return status;
}

}  // namespace

std::unique_ptr<Verb> MakeDeleteVerb() { return std::make_unique<DeleteVerb>(); }

}  // namespace tuff::tools
