#include "tuff/store.h"

#include <algorithm>

#include "engine/batch.h"
#include "engine/cursor.h"
#include "engine/store_impl.h"

namespace tuff {
namespace {

// Keys of one DeleteRange batch.
constexpr size_t kRangeBatch = 1024;

}  // namespace

PinnedValue& PinnedValue::operator=(PinnedValue&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  view_ = std::exchange(other.view_, {});
  store_ = std::exchange(other.store_, nullptr);
  pfn_ = std::exchange(other.pfn_, 0);
  memory_ = std::move(other.memory_);
  return *this;
}

void PinnedValue::Reset() {
  if (store_ != nullptr) {
    auto* const store = static_cast<Store::Impl*>(store_);
    store->tree.Unpin(pfn_);
    store->pinned_values.fetch_sub(1, std::memory_order_relaxed);
  }
  store_ = nullptr;
  view_ = {};
  memory_.reset();
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

std::string Store::name() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->name;
}

Status Store::Put(std::string_view key, std::string_view value) {
  return NoThrow([&] { return impl_->tree.Put(key, value); });
}

Status Store::Delete(std::string_view key) {
  return NoThrow([&] { return impl_->tree.Delete(key); });
}

Status Store::Get(std::string_view key, std::string* value, const Snapshot* snapshot) const {
  const uint64_t sequence = snapshot == nullptr ? kNewest : snapshot->sequence();
  return NoThrow([&] { return impl_->tree.Get(key, sequence, value, nullptr); });
}

Result<PinnedValue> Store::GetPinned(std::string_view key, const Snapshot* snapshot) const {
  const uint64_t sequence = snapshot == nullptr ? kNewest : snapshot->sequence();
  PinnedValue pinned;
  FoundValue found;
  Status s = NoThrow([&] { return impl_->tree.GetPinned(key, sequence, &found); });
  if (!s.ok()) return s;
  pinned.view_ = found.value;
  pinned.memory_ = std::move(found.kept);
  if (found.pfn != 0) {
    impl_->pinned_values.fetch_add(1, std::memory_order_relaxed);
    pinned.store_ = impl_.get();
    pinned.pfn_ = found.pfn;
  }
  return pinned;
}

void Store::MultiGet(std::span<const std::string_view> keys, std::vector<std::string>* values,
                     std::vector<Status>* statuses, const Snapshot* snapshot) const {
  Status s = NoThrow([&]() -> Status {
    values->resize(keys.size());
    statuses->assign(keys.size(), Status());
    const RegisteredSequence at(impl_->versions, snapshot);
    if (!at.status().ok()) return at.status();
    impl_->tree.MultiGet(keys, at.sequence(), values->data(), statuses->data());
    return Status();
  });
  if (s.ok()) return;
  for (Status& status : *statuses) status = s;
}

Status Store::CompareAndSwap(std::string_view key, std::optional<std::string_view> expected,
                             std::optional<std::string_view> desired) {
  return NoThrow([&]() -> Status {
    const Precondition as_expected{Precondition::Kind::kValue, 0, expected};
    const auto is_dropped = [&] { return impl_->tree.gate() == Tree::Gate::kDropped; };
    if (desired) return impl_->tree.Put(key, *desired, as_expected);
    if (expected) {
      Status s = impl_->tree.Delete(key, as_expected);
      return s.IsNotFound() && !is_dropped() ? Status(Code::kConflict, "the key has changed")
                                             : std::move(s);
    }
    std::string value;
    Status s = impl_->tree.Get(key, &value);
    if (s.ok()) return Status(Code::kConflict, "the key has changed");
    return s.IsNotFound() && !is_dropped() ? Status() : std::move(s);
  });
}

Status Store::ReadModifyWrite(
    std::string_view key,
    const std::function<std::optional<std::string>(std::optional<std::string_view>)>& modify) {
  return NoThrow([&]() -> Status {
    for (;;) {
      std::string value;
      Precondition unchanged{Precondition::Kind::kSequence, 0, {}};
      Status s = impl_->tree.Get(key, kNewest, &value, &unchanged.sequence);
      if (!s.ok() && !s.IsNotFound()) return s;
      const bool is_there = s.ok();
      const auto desired = modify(is_there ? std::optional<std::string_view>(value) : std::nullopt);
      if (!desired && !is_there) {
        return impl_->tree.gate() == Tree::Gate::kDropped ? std::move(s) : Status();
      }
      s = desired ? impl_->tree.Put(key, *desired, unchanged) : impl_->tree.Delete(key, unchanged);
      if (s.code() != Code::kConflict && !(s.IsNotFound() && !desired)) return s;
    }
  });
}

Status Store::DeleteRange(std::string_view begin, std::optional<std::string_view> end,
                          uint64_t* deleted) {
  return NoThrow([&]() -> Status {
    Tree& tree = impl_->tree;
    if (deleted != nullptr) *deleted = 0;
    ReadOptions range;
    range.lower_bound = begin;
    if (end) range.upper_bound = *end;
    size_t batch_keys = kRangeBatch;
    for (;;) {
      std::vector<std::string> keys;
      {
        Cursor cursor(tree, range);
        for (cursor.SeekToFirst(); cursor.Valid() && keys.size() < batch_keys; cursor.Next()) {
          keys.emplace_back(cursor.key());
        }
        if (!cursor.status().ok()) return cursor.status();
      }
      if (keys.empty()) return tree.map().domain().CheckWritable();
      Status s;
      if (batch_keys == 1) {  // which finds room in any pool
        s = tree.Delete(keys[0]);
        if (s.IsNotFound() && tree.gate() != Tree::Gate::kDropped) s = Status();
      } else {
        std::vector<BatchOp> ops;
        for (const std::string& key : keys) ops.push_back({&tree, key, {}, RecordType::kDelete});
        BatchWriter writer(tree.map(), impl_->versions);
        s = writer.Write(std::move(ops));
      }
      if (s.code() == Code::kNoSpace && batch_keys > 1) {  // a full pool: with less room for a log
        batch_keys = std::max<size_t>(1, batch_keys / 8);
        continue;
      }
      if (!s.ok()) return s;
      if (deleted != nullptr) *deleted += keys.size();
      range.lower_bound = keys.back() + '\0';
    }
  });
}

class Iterator::Impl {
 public:
  Impl(Store::Impl& of, const ReadOptions& options)
      : store(of), at(of.versions, options.snapshot), cursor(of.tree, options, at.sequence()) {
    store.iterators.fetch_add(1, std::memory_order_relaxed);
    failure = at.status();
  }
  ~Impl() { store.iterators.fetch_sub(1, std::memory_order_relaxed); }

  Store::Impl& store;
  RegisteredSequence at;
  Cursor cursor;
  Status failure;
};

std::unique_ptr<Iterator> Store::NewIterator(const ReadOptions& options) const {
  return std::unique_ptr<Iterator>(new Iterator(std::make_unique<Iterator::Impl>(*impl_, options)));
}

Iterator::Iterator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Iterator::~Iterator() = default;

// Moves, and shows where that leads; memory that runs out ends the walk with an error.
template <typename Move>
void Iterator::Run(const Move& move) {
  if (!impl_->at.status().ok()) return;
  Cursor& cursor = impl_->cursor;
  try {
    move(cursor);
    if (!impl_->failure.ok()) impl_->failure = Status();
    valid_ = cursor.Valid();
  } catch (const std::bad_alloc&) {
    impl_->failure = Status(Code::kNoMemory, "out of memory");
    valid_ = false;
  }
  if (!valid_) return;
  key_ = cursor.key();
  value_ = cursor.value();
}

void Iterator::SeekToFirst() {
  Run([](Cursor& cursor) { cursor.SeekToFirst(); });
}
void Iterator::SeekToLast() {
  Run([](Cursor& cursor) { cursor.SeekToLast(); });
}
void Iterator::Seek(std::string_view target) {
  Run([&](Cursor& cursor) { cursor.Seek(target); });
}
void Iterator::SeekForPrev(std::string_view target) {
  Run([&](Cursor& cursor) { cursor.SeekForPrev(target); });
}
void Iterator::Next() {
  assert(Valid());
  Run([](Cursor& cursor) { cursor.Next(); });
}
void Iterator::Prev() {
  assert(Valid());
  Run([](Cursor& cursor) { cursor.Prev(); });
}
Status Iterator::status() const {
  return impl_->failure.ok() ? impl_->cursor.status() : impl_->failure;
}

}  // namespace tuff
