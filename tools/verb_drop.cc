// tuff drop: removes a store.
#include <string>

#include "tools/open_pool.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class DropVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  PoolArguments pool_;
  std::string store_;
  bool no_wait_ = false;
};

void DropVerb::Declare(Command* command) {
  command->Usage("POOL STORE [--no-wait] [OPTIONS]");
  command->AddExample("tuff drop /mnt/pmem/pool users", "remove a store and all that is in it");
  command->AddExample("tuff drop /mnt/pmem/pool users --no-wait",
                      "return at once; whoever writes next gets the space back, bit by bit");
  command->About(
      "Removes STORE and all its records, without asking, all at once: after a crash it is there "
      "as "
      "a whole or not at all. Then waits until the pool has the space back, which takes time in "
      "proportion to the store's size. Ending the wait (Ctrl-C) does no harm: whoever opens the "
      "pool "
      "to write goes on with it. Exit code 1 if there is no such store or pool.");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  command->Flag("--no-wait", &no_wait_, "Do not wait for the space.");
  DeclareOpenOptions(command, &pool_);
}

Outcome DropVerb::Run(const Context& context) {
  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status = (*pool)->DropStore(store_);
  if (status.ok() && !no_wait_) status = (*pool)->WaitForBackgroundWork();
  return CloseAfter(pool->get(), InPool(pool_, std::move(status)));
}

}  // namespace

std::unique_ptr<Verb> MakeDropVerb() { return std::make_unique<DropVerb>(); }

}  // namespace tuff::tools
