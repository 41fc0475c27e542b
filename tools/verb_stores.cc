// tuff stores: lists the stores of a pool.
#include <fmt/format.h>

#include <vector>

#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/sizes.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class StoresVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  std::string Text(const std::vector<StoreInfo>& stores) const;

  PoolArguments pool_;
  bool long_ = false;
  bool json_ = false;
};

void StoresVerb::Declare(Command* command) {
  command->Usage("POOL [-l | --json] [OPTIONS]");
  command->AddExample("tuff stores /mnt/pmem/pool", "names, one per line");
  command->AddExample("tuff stores /mnt/pmem/pool -l", "with times of creation and change");
  command->AddExample("tuff stores /mnt/pmem/pool --json | jq -r '.[].name'", "for scripts");
  command->About(
      "Lists the stores of a pool by name; control characters in names are escaped. With -l each "
      "line begins with when the store was made and last changed, as of the last clean close.");
  DeclarePool(command, &pool_);
  command->Flag("-l,--long", &long_, "Print times (UTC) before the names.");
  command->Flag("--json", &json_, "Print one JSON array of objects.");
  DeclareReadOptions(command, &pool_);
}

std::string StoresVerb::Text(const std::vector<StoreInfo>& stores) const {
  std::string out;
  for (const StoreInfo& store : stores) {
    if (long_) out += FormatTime(store.created_ns) + "  " + FormatTime(store.modified_ns) + "  ";
    out += Escape(store.name) + '\n';
  }
  return out;
}

std::string Json(const std::vector<StoreInfo>& stores) {
  std::vector<JsonObject> array;
  for (const StoreInfo& store : stores) {
    JsonObject json;
    json.SetBytes("name", store.name);
    json.SetNumber("object_id", store.object_id);
    json.SetNumber("anchor_pfn", store.anchor_pfn);
    json.SetNumber("created_ns", store.created_ns);
    json.SetNumber("modified_ns", store.modified_ns);
    array.push_back(std::move(json));
  }
  return JsonArrayLine(array) + '\n';
}

Outcome StoresVerb::Run(const Context& context) {
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Result<std::vector<StoreInfo>> stores = (*pool)->ListStores();
  if (stores.ok()) context.output->Write(json_ ? Json(*stores) : Text(*stores));
  return CloseAfter(pool->get(), InPool(pool_, stores.TakeStatus()));
}

}  // namespace

std::unique_ptr<Verb> MakeStoresVerb() { return std::make_unique<StoresVerb>(); }

}  // namespace tuff::tools
