#include "tuff/write_batch.h"

#include <fmt/format.h>

#include "engine/write_batch_impl.h"

namespace tuff {

Status WriteBatch::Impl::Add(Store& store, std::string_view key, std::string_view value,
                             RecordType type) {
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (entries.size() == kBatchOperationsMax) {
    return Status(Code::kTooLarge,
                  fmt::format("a batch holds at most {} operations; write this one "
                              "first, or use a bulk load",
                              kBatchOperationsMax));
  }
  if (text.size() + key.size() + value.size() > kBatchBytesMax) {
    return Status(Code::kTooLarge,
                  fmt::format("a batch of {} bytes; at most {}: write what it holds first, or use "
                              "a bulk load",
                              text.size() + key.size() + value.size(), kBatchBytesMax));
  }
  return NoThrow([&] {
    entries.reserve(entries.size() == entries.capacity() ? 2 * entries.size() + 16 : 0);
    const size_t at = text.size();
    text.append(key);
    try {
      text.append(value);
    } catch (...) {
      text.resize(at);
      throw;
    }
    entries.push_back({&store, at, key.size(), value.size(), type});
    return Status();
  });
}

WriteBatch::WriteBatch() : impl_(std::make_unique<Impl>()) {}
WriteBatch::~WriteBatch() = default;
WriteBatch::WriteBatch(WriteBatch&&) noexcept = default;
WriteBatch& WriteBatch::operator=(WriteBatch&&) noexcept = default;

Status WriteBatch::Put(Store& store, std::string_view key, std::string_view value) {
  return impl_->Add(store, key, value, RecordType::kPut);
}
Status WriteBatch::Delete(Store& store, std::string_view key) {
  return impl_->Add(store, key, {}, RecordType::kDelete);
}
void WriteBatch::Clear() {
  impl_->entries.clear();
  impl_->text.clear();
}
size_t WriteBatch::operations() const { return impl_->entries.size(); }
size_t WriteBatch::bytes() const { return impl_->text.size(); }

std::vector<BatchOp> WriteBatch::Impl::Ops() const {
  std::vector<BatchOp> all;
  all.reserve(entries.size());
  for (const Entry& entry : entries) {
    const std::string_view from(text);
    all.push_back({&StoreAccess::Of(*entry.store).tree, from.substr(entry.at, entry.key_bytes),
                   from.substr(entry.at + entry.key_bytes, entry.value_bytes), entry.type});
  }
  std::stable_sort(all.begin(), all.end(), [](const BatchOp& a, const BatchOp& b) {
    return a.tree != b.tree ? a.tree->object_id() < b.tree->object_id() : a.key < b.key;
  });
  // Of one key's operations the last one counts.
  std::vector<BatchOp> ops;
  ops.reserve(all.size());
  for (size_t i = 0; i < all.size(); i++) {
    const bool again =
        i + 1 < all.size() && all[i + 1].tree == all[i].tree && all[i + 1].key == all[i].key;
    if (!again) ops.push_back(all[i]);
  }
  return ops;
}

}  // namespace tuff
