// tuff get: prints the value of a key.
#include <fmt/format.h>

#include <string>

#include "tools/escape.h"
#include "tools/open_pool.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

class GetVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status Get(Pool* pool, std::string* value);

  PoolArguments pool_;
  std::string store_;
  std::string key_;
  bool escaped_ = false;
};

void GetVerb::Declare(Command* command) {
  command->Usage("POOL STORE KEY [OPTIONS]");
  command->AddExample("tuff get /mnt/pmem/pool users ada", "print a value");
  command->AddExample("tuff get /mnt/pmem/pool users photo >ada.jpg", "the bytes as they are");
  command->AddExample("tuff get /mnt/pmem/pool users --escaped '\\x00\\x01'", "a binary key");
  command->About(
      "Writes the value of KEY to standard output: its bytes, and no newline. Exit code 1 if there "
      "is no such key, store or pool.");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  command->Required("KEY", &key_);
  DeclareEscaped(command, &escaped_);
  DeclareReadOptions(command, &pool_);
}

Status GetVerb::Get(Pool* pool, std::string* value) {
  Result<Store*> store = pool->OpenStore(store_);
  if (!store.ok()) return store.TakeStatus();
  Status status = (*store)->Get(key_, value);
  if (!status.IsNotFound()) return status;
  return {Code::kNotFound, fmt::format("no key {} in store {}", Quoted(key_), Quoted(store_))};
}

Outcome GetVerb::Run(const Context& context) {
  if (Status s = DecodeWord(escaped_, "KEY", &key_); !s.ok()) return s;
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  std::string value;
  Status status = Get(pool->get(), &value);
  if (status.ok()) context.output->Write(value);
  return CloseAfter(pool->get(), InPool(pool_, std::move(status)));
}

}  // namespace

std::unique_ptr<Verb> MakeGetVerb() { return std::make_unique<GetVerb>(); }

}  // namespace tuff::tools
