// tuff rename: gives a store another name.
#include <string>

#include "tools/open_pool.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class RenameVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  PoolArguments pool_;
  std::string from_;
  std::string to_;
};

void RenameVerb::Declare(Command* command) {
  command->Usage("POOL OLD NEW [OPTIONS]");
  command->AddExample("tuff rename /mnt/pmem/pool users people",
                      "what was in users is now in people");
  command->About(
      "Renames the store OLD. Its records stay where they are, so this takes the same time at any "
      "size. A store named NEW must not exist.");
  DeclarePool(command, &pool_);
  command->Required("OLD", &from_);
  command->Required("NEW", &to_);
  DeclareOpenOptions(command, &pool_);
}

Outcome RenameVerb::Run(const Context& context) {
  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  return CloseAfter(pool->get(), InPool(pool_, (*pool)->RenameStore(from_, to_)));
}

}  // namespace

std::unique_ptr<Verb> MakeRenameVerb() { return std::make_unique<RenameVerb>(); }

}  // namespace tuff::tools
