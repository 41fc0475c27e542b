// tuff put: sets a key to a value.
#include <fmt/format.h>

#include <string>

#include "tools/input_file.h"
#include "tools/open_pool.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

class PutVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status ReadValue();

  PoolArguments pool_;
  std::string store_;
  std::string key_;
  std::string value_;
  bool escaped_ = false;
};

void PutVerb::Declare(Command* command) {
  command->Usage("POOL STORE KEY VALUE [OPTIONS]");
  command->Usage("POOL STORE KEY - <FILE");
  command->AddExample("tuff put /mnt/pmem/pool users ada 1815", "a short value");
  command->AddExample("tuff put /mnt/pmem/pool users photo - <ada.jpg", "the bytes of a file");
  command->AddExample("tuff put /mnt/pmem/pool users --escaped 'a\\tb' '\\x00\\xff'",
                      "bytes that a command line cannot hold");
  command->AddExample("tuff put /mnt/pmem/pool users -- -x --value-with-dashes",
                      "words that look like options go after --");
  command->About(
      "Sets KEY to VALUE; when this returns, it is durable. STORE is made if it does not exist. A "
      "VALUE of - stands for standard input.");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  command->Required("KEY", &key_);
  command->Required("VALUE", &value_);
  DeclareEscaped(command, &escaped_);
  DeclareOpenOptions(command, &pool_);
}

/// Before the pool is opened, so that nobody waits for its lock while we wait for input.
Status PutVerb::ReadValue() {
  Result<std::unique_ptr<InputFile>> input = InputFile::Open("-");
  if (!input.ok()) return input.TakeStatus();
  value_.clear();
  char buffer[kRecordSizeMax];
  while (value_.size() <= kRecordSizeMax) {
    Result<size_t> got = (*input)->Read(buffer, sizeof(buffer));
    if (!got.ok()) {
      return {got.status().code(), fmt::format("{}: {}", (*input)->name(), got.status().message())};
    }
    if (*got == 0) break;
    value_.append(buffer, *got);
  }
  if (value_.size() > kRecordSizeMax) {
    return {Code::kTooLarge, fmt::format("{}: more than {} bytes, which is the limit for a record",
                                         (*input)->name(), kRecordSizeMax)};
  }
  return {};
}

Outcome PutVerb::Run(const Context& context) {
  if (Status s = DecodeWord(escaped_, "KEY", &key_); !s.ok()) return s;
  Status status = value_ == "-" ? ReadValue() : DecodeWord(escaped_, "VALUE", &value_);
  if (!status.ok()) return status;
  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Result<Store*> store = (*pool)->OpenOrCreateStore(store_);
  status = store.ok() ? (*store)->Put(key_, value_) : store.TakeStatus();
  return CloseAfter(pool->get(), InPool(pool_, std::move(status)));
}

}  // namespace

std::unique_ptr<Verb> MakePutVerb() { return std::make_unique<PutVerb>(); }

}  // namespace tuff::tools
