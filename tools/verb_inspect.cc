// tuff inspect: looks at a pool from outside, damaged or not.
#include "tools/inspect_map.h"
#include "tools/open_pool.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class InspectVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  std::string what_;
  PoolArguments pool_;
  MapFormat format_ = MapFormat::kText;
  bool json_ = false;
};

void InspectVerb::Declare(Command* command) {
  command->Usage("map POOL [--format FORMAT | --json]");
  command->About(
      "Draws the whole pool, a cell for each page block (2 MiB) or, of large pools, for several: "
      "what most of it is used for, and how full it is. It reads the owner words of all frames, "
      "and works on damaged pools and on those in use as well.");
  command->Required("WHAT", &what_, {"map"});
  DeclarePool(command, &pool_);
  DeclareInspectMap(command, &format_);
  command->Flag("--json", &json_, "As --format json.");
}

Outcome InspectVerb::Run(const Context& context) {
  return RunInspectMap(pool_.path, json_ ? MapFormat::kJson : format_, context);
}

}  // namespace

std::unique_ptr<Verb> MakeInspectVerb() { return std::make_unique<InspectVerb>(); }

}  // namespace tuff::tools
