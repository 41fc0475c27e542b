// tuff batch: applies a script of puts and deletes, all of it or nothing.
#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/input_file.h"
#include "tools/open_pool.h"
#include "tools/script_reader.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class BatchVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status ReadScript();
  Status FindStores(Pool* pool);
  Status MakeStores(Pool* pool);
  Status Write(Pool* pool);
  Status Apply(Pool* pool);

  struct Target {
    Store* store = nullptr;   // null: not there
    uint64_t first_line = 0;  // that names it
    uint64_t put_line = 0;    // that puts into it; 0: none does
  };

  PoolArguments pool_;
  std::optional<std::string> file_;
  bool dry_run_ = false;
  bool verbose_ = false;

  std::string input_name_;
  std::vector<ScriptOperation> operations_;
  std::map<std::string, Target> targets_;
  std::vector<std::string> made_;  // stores
};

void BatchVerb::Declare(Command* command) {
  command->Usage("POOL [FILE] [-n] [-v] [OPTIONS]");
  command->AddExample(
      "printf 'put users ada 1815\\ndelete users bob\\n' | tuff batch /mnt/pmem/pool",
      "both, or neither");
  command->AddExample("tuff batch /mnt/pmem/pool changes --dry-run --verbose",
                      "only check the script, and count");
  command->AddExample(
      "tuff scan /mnt/pmem/pool a | sed 's/^/put\\tb\\t/' | tuff batch /mnt/pmem/pool",
      "copy a small store, in one step");
  command->About(
      "Reads operations from FILE (or from standard input, if there is no FILE or it is -), one "
      "per "
      "line: put STORE KEY VALUE, or delete STORE KEY. All of them become true at once, and "
      "durable "
      "when this returns: no reader, no error and no crash leaves a part of them.");
  command->About(
      "Fields are separated by blanks or, in a line with a TAB in it, by single TABs and nothing "
      "else. They are in the escapes that scan prints: \\\\ \\t \\n \\r \\xHH; so a blank may be "
      "written \\x20. Empty lines and lines that begin with # are passed over.");
  command->About(fmt::format(
      "A store that is put into is made if it does not exist; deleting from one that does not is "
      "an error (exit code 1), deleting an absent key is not. Of several operations on one key the "
      "last one counts. At most {} operations, and {} MiB of keys and values: use load for more.",
      kBatchOperationsMax, kBatchBytesMax >> 20));
  DeclarePool(command, &pool_);
  command->Optional("FILE", &file_);
  command->Flag("-n,--dry-run", &dry_run_,
                "Check the script, and that the stores it deletes from are there; write nothing.");
  command->Flag("-v,--verbose", &verbose_, "Say how many operations there were.");
  DeclareOpenOptions(command, &pool_);
}

/// Before the pool is opened, so that nobody waits for its lock while we wait for input.
Status BatchVerb::ReadScript() {
  Result<std::unique_ptr<InputFile>> input = InputFile::Open(file_.value_or("-"));
  if (!input.ok()) return input.TakeStatus();
  input_name_ = (*input)->name();
  ScriptReader reader(input->get());
  size_t bytes = 0;
  for (;;) {
    ScriptOperation operation;
    Result<bool> more = reader.Next(&operation);
    if (!more.ok()) return more.TakeStatus();
    if (!*more) return {};
    bytes += operation.key.size() + operation.value.size();
    if (operations_.size() == kBatchOperationsMax || bytes > kBatchBytesMax) {
      return AtLine(operation.line,
                    {Code::kTooLarge,
                     fmt::format("too much for one batch, which holds at most {} operations and {} "
                                 "bytes of keys and values; tuff load has no such limit",
                                 kBatchOperationsMax, kBatchBytesMax)});
    }
    Target& target = targets_[operation.store];
    if (target.first_line == 0) target.first_line = operation.line;
    if (operation.put && target.put_line == 0) target.put_line = operation.line;
    operations_.push_back(std::move(operation));
  }
}

/// All of them before any is made. Errors: NotFound for one that is deleted from only.
Status BatchVerb::FindStores(Pool* pool) {
  for (auto& [name, target] : targets_) {
    Result<Store*> store = pool->OpenStore(name);
    if (store.ok()) {
      target.store = *store;
    } else if (store.status().code() != Code::kNotFound || target.put_line == 0) {
      return AtLine(target.first_line, store.status());
    }
  }
  return {};
}

Status BatchVerb::MakeStores(Pool* pool) {
  for (auto& [name, target] : targets_) {
    if (target.store != nullptr) continue;
    Result<Store*> store = pool->CreateStore(name);
    if (!store.ok()) return AtLine(target.put_line, store.status());
    target.store = *store;
    made_.push_back(name);
  }
  return {};
}

Status BatchVerb::Write(Pool* pool) {
  WriteBatch batch;
  for (const ScriptOperation& operation : operations_) {
    Store& store = *targets_[operation.store].store;
    Status s = operation.put ? batch.Put(store, operation.key, operation.value)
                             : batch.Delete(store, operation.key);
    if (!s.ok()) return AtLine(operation.line, s);
  }
  return pool->Write(batch);
}

Status BatchVerb::Apply(Pool* pool) {
  if (Status s = FindStores(pool); !s.ok() || dry_run_) return s;
  Status status = MakeStores(pool);
  if (status.ok()) status = Write(pool);
  if (status.ok()) return status;
  // Nothing means no new stores either. If that fails as well, one stays, and is empty.
  for (const std::string& name : made_) static_cast<void>(pool->DropStore(name));
  return status;
}

Outcome BatchVerb::Run(const Context& context) {
  const auto failed = [this](const Status& status) -> Outcome {
    const std::string where = input_name_.empty() ? "" : input_name_ + ": ";
    return {ExitCodeOf(status.code()),
            fmt::format("{}{}; nothing was written", where, status.message())};
  };
  if (Status s = ReadScript(); !s.ok()) return failed(s);
  Result<std::unique_ptr<Pool>> pool =
      dry_run_ ? OpenToRead(pool_, context.console) : OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status = Apply(pool->get());
  if (!status.ok()) {
    static_cast<void>((*pool)->Close());  // the first failure is the one to tell
    return failed(status);
  }
  if (verbose_) {
    context.output->Write(
        fmt::format("{} operation{}\n", operations_.size(), operations_.size() == 1 ? "" : "s"));
  }
  return (*pool)->Close();
}

}  // namespace

std::unique_ptr<Verb> MakeBatchVerb() { return std::make_unique<BatchVerb>(); }

}  // namespace tuff::tools
