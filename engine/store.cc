#include "tuff/store.h"

#include "engine/cursor.h"
#include "engine/store_impl.h"

namespace tuff {

PinnedValue& PinnedValue::operator=(PinnedValue&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  view_ = std::exchange(other.view_, {});
  tree_ = std::exchange(other.tree_, nullptr);
  pfn_ = std::exchange(other.pfn_, 0);
  return *this;
}

void PinnedValue::Reset() {
  if (tree_ != nullptr) static_cast<Tree*>(tree_)->Unpin(pfn_);
  tree_ = nullptr;
  view_ = {};
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

Status Store::Get(std::string_view key, std::string* value) const {
  return NoThrow([&] { return impl_->tree.Get(key, value); });
}

Result<PinnedValue> Store::GetPinned(std::string_view key) const {
  PinnedValue pinned;
  Pfn pfn = 0;
  Status s = NoThrow([&] { return impl_->tree.GetPinned(key, &pinned.view_, &pfn); });
  if (!s.ok()) return s;
  pinned.tree_ = &impl_->tree;
  pinned.pfn_ = pfn;
  return pinned;
}

Status Store::Delete(std::string_view key) {
  return NoThrow([&] { return impl_->tree.Delete(key); });
}

class Iterator::Impl {
 public:
  Impl(Tree& tree, const ReadOptions& options) : cursor(tree, options) {}

  // Runs a move; memory that runs out ends the walk with an error.
  template <typename Move>
  void Run(const Move& move) {
    failure = NoThrow([&] {
      move();
      return Status();
    });
  }

  Cursor cursor;
  Status failure;
};

std::unique_ptr<Iterator> Store::NewIterator(const ReadOptions& options) const {
  return std::unique_ptr<Iterator>(
      new Iterator(std::make_unique<Iterator::Impl>(impl_->tree, options)));
}

Iterator::Iterator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Iterator::~Iterator() = default;

bool Iterator::Valid() const { return impl_->failure.ok() && impl_->cursor.Valid(); }
void Iterator::SeekToFirst() {
  impl_->Run([&] { impl_->cursor.SeekToFirst(); });
}
void Iterator::SeekToLast() {
  impl_->Run([&] { impl_->cursor.SeekToLast(); });
}
void Iterator::Seek(std::string_view target) {
  impl_->Run([&] { impl_->cursor.Seek(target); });
}
void Iterator::SeekForPrev(std::string_view target) {
  impl_->Run([&] { impl_->cursor.SeekForPrev(target); });
}
void Iterator::Next() {
  assert(Valid());
  impl_->Run([&] { impl_->cursor.Next(); });
}
void Iterator::Prev() {
  assert(Valid());
  impl_->Run([&] { impl_->cursor.Prev(); });
}
std::string_view Iterator::key() const {
  assert(Valid());
  return impl_->cursor.key();
}
std::string_view Iterator::value() const {
  assert(Valid());
  return impl_->cursor.value();
}
Status Iterator::status() const {
  return impl_->failure.ok() ? impl_->cursor.status() : impl_->failure;
}

}  // namespace tuff
