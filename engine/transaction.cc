#include "tuff/transaction.h"

#include <fmt/format.h>

#include "engine/transaction_impl.h"

namespace tuff {

Status Transaction::Impl::CheckMore(const Store& store, size_t more) const {
  if (ended) return Status(Code::kInvalidArgument, "the transaction has ended");
  if (&StoreAccess::Of(store).tree.map() != &map) {
    return Status(Code::kInvalidArgument, "the store belongs to another pool");
  }
  if (keys.size() >= kBatchOperationsMax || bytes + more > kBatchBytesMax) {
    return Status(Code::kTooLarge,
                  fmt::format("a transaction reads and writes at most {} keys and {} bytes; this "
                              "one has {} and {} already",
                              kBatchOperationsMax, kBatchBytesMax, keys.size(), bytes));
  }
  return Status();
}

Transaction::Impl::Key* Transaction::Impl::Find(const Store& store, std::string_view key) {
  Tree& tree = StoreAccess::Of(store).tree;
  return &keys[{tree.object_id(), std::string(key)}];
}

Status Transaction::Impl::Get(Store& store, std::string_view key, std::string* value) {
  if (Status s = CheckKey(key); !s.ok()) return s;
  if (Status s = CheckMore(store, key.size()); !s.ok()) return s;
  Tree& tree = StoreAccess::Of(store).tree;
  const auto it = keys.find({tree.object_id(), std::string(key)});
  if (it != keys.end() && it->second.writes) {
    if (it->second.type == RecordType::kDelete) return Status(Code::kNotFound, "no such key");
    *value = it->second.value;
    return Status();
  }
  uint64_t found = 0;
  Status s = tree.Get(key, at.sequence(), value, &found);
  if (!s.ok() && !s.IsNotFound()) return s;
  Key* const read = Find(store, key);
  if (read->tree == nullptr) bytes += key.size();
  read->tree = &tree;
  read->condition = {Precondition::Kind::kSequence, s.ok() ? found : 0, {}};
  return s;
}

Status Transaction::Impl::Set(Store& store, std::string_view key, std::string_view value,
                              RecordType type) {
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (Status s = CheckMore(store, key.size() + value.size()); !s.ok()) return s;
  Key* const written = Find(store, key);
  if (written->tree == nullptr) bytes += key.size();
  bytes += value.size() - written->value.size();
  written->tree = &StoreAccess::Of(store).tree;
  written->value = value;
  written->type = type;
  written->writes = true;
  return Status();
}

Status Transaction::Impl::Commit() {
  if (ended) return Status(Code::kInvalidArgument, "the transaction has ended");
  ended = true;
  std::vector<BatchOp> ops;
  bool writes = false;
  for (const auto& [name, key] : keys) {
    ops.push_back({key.tree, name.second, key.value, key.type, key.writes, key.condition});
    writes = writes || key.writes;
  }
  if (!writes) return Status();  // it read one snapshot, and there it stands in the order
  BatchWriter writer(map, versions);
  return writer.Write(std::move(ops));
}

Transaction::Transaction(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transaction::~Transaction() = default;

Status Transaction::Get(Store& store, std::string_view key, std::string* value) {
  return NoThrow([&] { return impl_->Get(store, key, value); });
}
Status Transaction::Put(Store& store, std::string_view key, std::string_view value) {
  return NoThrow([&] { return impl_->Set(store, key, value, RecordType::kPut); });
}
Status Transaction::Delete(Store& store, std::string_view key) {
  return NoThrow([&] { return impl_->Set(store, key, {}, RecordType::kDelete); });
}
Status Transaction::Commit() {
  return NoThrow([&] { return impl_->Commit(); });
}

}  // namespace tuff
