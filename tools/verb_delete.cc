// tuff delete: removes a key.
#include <fmt/format.h>

#include <string>

#include "tools/escape.h"
#include "tools/open_pool.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

class DeleteVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status Delete(Pool* pool);

  PoolArguments pool_;
  std::string store_;
  std::string key_;
  bool escaped_ = false;
};

void DeleteVerb::Declare(Command* command) {
  command->Usage("POOL STORE KEY [OPTIONS]");
  command->AddExample("tuff delete /mnt/pmem/pool users ada", "remove a key");
  command->AddExample("tuff delete /mnt/pmem/pool users --escaped 'a\\tb'", "a key with a TAB");
  command->About(
      "Removes KEY and its value; when this returns, that is durable. Exit code 1 if there is no "
      "such key, store or pool.");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  command->Required("KEY", &key_);
  DeclareEscaped(command, &escaped_);
  DeclareOpenOptions(command, &pool_);
}

Status DeleteVerb::Delete(Pool* pool) {
  Result<Store*> store = pool->OpenStore(store_);
  if (!store.ok()) return store.TakeStatus();
  Status status = (*store)->Delete(key_);
  if (!status.IsNotFound()) return status;
  return {Code::kNotFound, fmt::format("no key {} in store {}", Quoted(key_), Quoted(store_))};
}

Outcome DeleteVerb::Run(const Context& context) {
  if (Status s = DecodeWord(escaped_, "KEY", &key_); !s.ok()) return s;
  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  return CloseAfter(pool->get(), InPool(pool_, Delete(pool->get())));
}

}  // namespace

std::unique_ptr<Verb> MakeDeleteVerb() { return std::make_unique<DeleteVerb>(); }

}  // namespace tuff::tools
