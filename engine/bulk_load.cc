#include "engine/bulk_load.h"

#include <fmt/format.h>

#include "engine/cursor.h"

namespace tuff {
namespace {

// Leaves that one step links: with their parents they must fit a lane.
constexpr size_t kLeavesPerStep = 200;
static_assert(kLeavesPerStep + 1 + 3 * kLevelMax <= kLaneRunsMax);

// What a filled leaf leaves free, for later puts.
constexpr size_t FillBytes(unsigned order) { return (kFrameSize << order) / 8 * 7; }

std::vector<ChildEntry> Entries(const auto& children) {
  std::vector<ChildEntry> entries;
  entries.reserve(children.size() + 1);
  for (const auto& child : children) entries.push_back({child.low, child.word});
  return entries;
}

// Wherever the node will end: that decides what prefix its separators share, and how long its high
// fence is.
bool FitsOneNode(std::span<const ChildEntry> children, std::string_view low) {
  return children.size() <= kLeavesPerStep &&
         PlanInner(children, low, std::nullopt).parts.size() == 1 &&
         InnerBytes(children, low, std::nullopt) + Pad8(kKeySizeMax) <= kNodeBytesMax;
}

// REQUIRES: FitsOneNode.
unsigned OrderOfOneNode(std::span<const ChildEntry> children, std::string_view low,
                        std::optional<std::string_view> high) {
  unsigned order = PlanInner(children, low, high).parts[0].order;  // perhaps of two
  const size_t bytes = InnerBytes(children, low, high);
  while (bytes > kFrameSize << order) order++;
  assert(order <= kNodeOrderMax);
  return order;
}

}  // namespace

BulkLoader::Impl::Impl(Store::Impl& store) : store_(store), map_(store.tree.map()) {
  store_.bulk_loaders.fetch_add(1, std::memory_order_relaxed);
}

BulkLoader::Impl::~Impl() {
  GiveUpFrames();
  if (begun_) store_.graveyard.LetGo(building_.id);
  store_.bulk_loaders.fetch_sub(1, std::memory_order_relaxed);
}

Status BulkLoader::Impl::Begin() {
  map_.domain().AdmitThread();
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  Cursor cursor(store_.tree, {});
  cursor.SeekToFirst();
  if (!cursor.status().ok()) return cursor.status();
  if (cursor.Valid()) {
    return Status(Code::kInvalidArgument, "a bulk load needs an empty store; use batches");
  }
  auto building = store_.graveyard.NewBuilding(store_.tree.object_id());
  if (!building.ok()) return building.TakeStatus();
  building_ = std::move(*building);
  begun_ = true;
  tree_ = std::make_unique<Tree>(map_, store_.tree.object_id(), building_.anchor);
  number_ = map_.NextNumber();
  if (number_ == 0) return map_.domain().CheckWritable();
  text_.reserve(kNodeBytesMax);
  return Status();
}

Status BulkLoader::Impl::Add(std::string_view key, std::string_view value) {
  if (ended_) return Status(Code::kInvalidArgument, "the bulk load has ended");
  if (!failed_.ok()) return failed_;
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (records_ > 0 && key <= last_key_) {
    return Status(Code::kInvalidArgument,
                  fmt::format("record {} (counted from 1) is not sorted: its key is {} the one "
                              "before",
                              records_ + 1, key == last_key_ ? "the same as" : "below"));
  }
  map_.domain().AdmitThread();
  failed_ = NoThrow([&] { return AddRecord(key, value); });
  if (!failed_.ok()) GiveUpFrames();
  return failed_;
}

// Bytes of the leaf's base with one record more, and with room for its fences.
size_t BulkLoader::Impl::LeafBytesWith(std::string_view key, size_t bytes) const {
  const size_t n = leaf_.size() + 1;
  const size_t longest = std::max(leaf_key_max_, key.size());
  return sizeof(NodeHeader) + Pad8(n) + Pad8(2 * n) + Pad8(leaf_low_.size() + longest + 1) +
         leaf_record_bytes_ + bytes + PutRoom(longest, longest, 1);
}

Status BulkLoader::Impl::AddRecord(std::string_view key, std::string_view value) {
  const size_t bytes = RecordBytes(key.size(), value.size());
  const unsigned order = LeafOrderFor((leaf_record_bytes_ + bytes) / (leaf_.size() + 1),
                                      store_.tree.records_per_leaf());
  if (!leaf_.empty() && LeafBytesWith(key, bytes) > FillBytes(order)) {
    const std::string separator(ShortestSeparator(last_key_, key));
    if (Status s = CloseLeaf(separator); !s.ok()) return s;
    if (ParentIsFullWith(separator)) {
      if (Status s = CloseParent(separator); !s.ok()) return s;
    }
    leaf_low_ = separator;
  }
  const size_t at = text_.size();  // never more than a node's: the views stay
  text_.resize(at + key.size() + value.size());
  std::memcpy(text_.data() + at, key.data(), key.size());
  if (!value.empty()) std::memcpy(text_.data() + at + key.size(), value.data(), value.size());
  const char* const text = reinterpret_cast<const char*>(text_.data() + at);
  RecordView record;
  record.key = {text, key.size()};
  record.value = {text + key.size(), value.size()};
  record.bytes = bytes;
  record.sequence_and_type = PackSequence(number_, RecordType::kPut);
  leaf_.push_back(record);
  leaf_record_bytes_ += bytes;
  leaf_key_max_ = std::max(leaf_key_max_, key.size());
  last_key_ = key;
  records_++;
  return Status();
}

Status BulkLoader::Impl::NewFrames(NodeIdentity* id, NewNode** node) {
  id->object_id = tree_->object_id();
  id->number = map_.NextNumber();
  if (id->number == 0) return map_.domain().CheckWritable();
  fresh_.reserve(kLaneRunsMax);  // once frames are taken nothing may fail
  change_.new_runs.reserve(kLaneRunsMax);
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(kFrameSize << id->order);
  id->pfn = map_.allocator().Allocate(id->order, AllocFor::kGrowth);
  if (id->pfn == 0) {
    map_.limbo().Reclaim();
    id->pfn = map_.allocator().Allocate(id->order, AllocFor::kGrowth);
  }
  if (id->pfn == 0) {
    return Status(Code::kNoSpace, fmt::format("{}: the pool is full after {} records; what was "
                                              "loaded is given back",
                                              map_.path(), records_));
  }
  // As after a mount: nobody believes the node before it has been looked at.
  Descriptor& head = map_.memmap().Touch(id->pfn);
  head.tail_count.store(0, std::memory_order_relaxed);
  head.flags.store(Descriptor::kHead, std::memory_order_release);
  change_.new_runs.push_back(
      {id->pfn, PackOwner(id->pfn, FrameKind::kTreeNode, id->order, id->object_id)});
  fresh_.push_back({id->pfn, id->order, std::move(bytes)});
  *node = &fresh_.back();
  return Status();
}

Status BulkLoader::Impl::CloseLeaf(std::optional<std::string_view> high) {
  NodeIdentity id;
  id.order = LeafOrderFor(leaf_record_bytes_ / leaf_.size(), store_.tree.records_per_leaf());
  id.low = leaf_low_;
  id.high = high;
  id.sequence_max = number_;
  NewNode* node = nullptr;
  if (Status s = NewFrames(&id, &node); !s.ok()) return s;
  WriteLeaf(node->bytes.get(), id, leaf_, map_.hash_seed());
  leaves_.push_back({leaf_low_, PackChild(id.pfn, id.number)});
  leaf_.clear();
  text_.clear();
  leaf_record_bytes_ = 0;
  leaf_key_max_ = 0;
  return Status();
}

bool BulkLoader::Impl::ParentIsFullWith(std::string_view low) const {
  auto entries = Entries(leaves_);
  entries.push_back({low, 0});
  return !FitsOneNode(entries, leaves_[0].low);
}

// Writes the level-1 node over the leaves since the last one, and links it: one step.
Status BulkLoader::Impl::CloseParent(std::optional<std::string_view> high) {
  const auto entries = Entries(leaves_);
  NodeIdentity id;
  id.level = 1;
  id.low = leaves_[0].low;
  id.high = high;
  id.order = OrderOfOneNode(entries, id.low, high);
  NewNode* node = nullptr;
  if (Status s = NewFrames(&id, &node); !s.ok()) return s;
  WriteInner(node->bytes.get(), id, entries, map_.hash_seed());
  if (Status s = Link(1, {leaves_[0].low, PackChild(id.pfn, id.number)}); !s.ok()) return s;
  leaves_.clear();
  return Commit();
}

void BulkLoader::Impl::Decide(uint64_t place, uint64_t old_value, uint64_t new_value) {
  change_.place = place;
  change_.old_value = old_value;
  change_.new_value = new_value;
  change_.object_id = tree_->object_id();
}

// The edge's node will be written anew.
void BulkLoader::Impl::Replace(Edge* edge) {
  change_.old_runs.push_back(
      {edge->pfn, PackOwner(edge->pfn, FrameKind::kTreeNode, edge->order, tree_->object_id())});
}

Status BulkLoader::Impl::WriteEdge(unsigned level, std::optional<std::string_view> high) {
  Edge& edge = edges_[level];
  const auto entries = Entries(edge.children);
  NodeIdentity id;
  id.level = level;
  id.low = edge.low;
  id.high = high;
  id.order = OrderOfOneNode(entries, id.low, high);
  NewNode* node = nullptr;
  if (Status s = NewFrames(&id, &node); !s.ok()) return s;
  WriteInner(node->bytes.get(), id, entries, map_.hash_seed());
  edge.pfn = id.pfn;
  edge.order = id.order;
  edge.word = PackChild(id.pfn, id.number);
  edge.last_place = NodeView(node->bytes.get(), id.pfn).ChildPlace(entries.size() - 1);
  return Status();
}

// Hangs a new node of `level` in behind what is there, up to the word that decides.
Status BulkLoader::Impl::Link(unsigned level, Child child) {
  if (level >= kLevelMax) return Status(Code::kTooLarge, "the tree is too deep");
  const uint64_t root = tree_->root_word();
  if (edges_.size() < level + 2) edges_.resize(level + 2);
  Edge& parent = edges_[level + 1];
  if (root == 0) {
    Decide(tree_->root_place(), 0, child.word);
    only_ = std::move(child);
    return Status();
  }
  if (parent.children.empty()) {  // what was the root gets a parent
    parent.low = only_->low;
    parent.children = {std::move(*only_), std::move(child)};
    only_.reset();
    if (Status s = WriteEdge(level + 1, std::nullopt); !s.ok()) return s;
    Decide(tree_->root_place(), root, parent.word);
    return Status();
  }
  Replace(&parent);
  const uint64_t old_word = parent.word;
  const bool has_parent = edges_.size() > level + 2 && !edges_[level + 2].children.empty();
  auto entries = Entries(parent.children);
  entries.push_back({child.low, child.word});
  if (FitsOneNode(entries, parent.low)) {
    parent.children.push_back(std::move(child));
    if (Status s = WriteEdge(level + 1, std::nullopt); !s.ok()) return s;
    if (has_parent) edges_[level + 2].children.back().word = parent.word;
    Decide(has_parent ? edges_[level + 2].last_place : tree_->root_place(), old_word, parent.word);
    return Status();
  }
  // It is complete now, and ends where the next one begins.
  if (Status s = WriteEdge(level + 1, child.low); !s.ok()) return s;
  if (has_parent) {
    edges_[level + 2].children.back().word = parent.word;
  } else {
    only_ = Child{parent.low, parent.word};
  }
  parent = Edge{};
  parent.low = child.low;
  parent.children.push_back(std::move(child));
  if (Status s = WriteEdge(level + 1, std::nullopt); !s.ok()) return s;
  Child edge{parent.low, parent.word};
  return Link(level + 1, std::move(edge));
}

Status BulkLoader::Impl::Commit() {
  LaneHold lane(map_.lanes());
  lane.Take();
  std::vector<Lanes::RunBytes> runs;
  for (const NewNode& node : fresh_) runs.push_back({node.pfn, node.order, node.bytes.get()});
  std::vector<Limbo::Run> freed;  // after the commit nothing may fail
  for (const LaneRun& run : change_.old_runs) {
    freed.push_back({run.pfn, UnpackOwner(run.owner).order});
  }
  {
    WriteWindow window(map_.domain());
    if (Status s = map_.lanes().Change(window, lane.Take(), change_, runs); !s.ok()) return s;
  }
  fresh_.clear();
  change_ = LaneChange();
  if (TUFF_RETIRE("bulk.retire")) map_.limbo().Add(freed.data(), freed.size());
  return Status();
}

void BulkLoader::Impl::GiveUpFrames() {
  if (!map_.domain().failed()) {
    for (const NewNode& node : fresh_) map_.allocator().Free(node.pfn, node.order);
  }
  fresh_.clear();
}

Status BulkLoader::Impl::CloseAll() {
  if (Status s = CloseLeaf(std::nullopt); !s.ok()) return s;
  if (leaves_.size() > 1 || tree_->root_word() != 0) return CloseParent(std::nullopt);
  if (Status s = Link(0, std::move(leaves_[0])); !s.ok()) return s;
  return Commit();
}

Status BulkLoader::Impl::Finish() {
  if (ended_) return Status(Code::kInvalidArgument, "the bulk load has ended");
  ended_ = true;
  if (!failed_.ok()) return failed_;
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  if (records_ == 0) return Status();
  map_.domain().AdmitThread();
  if (Status s = CloseAll(); !s.ok()) return s;
  const std::lock_guard gate_lock(store_.gate_mutex);
  if (TUFF_ORDER("bulk.gate")) store_.tree.CloseGate(Tree::Gate::kFrozen);
  Status s = NoThrow([&] { return SwapRoots(); });
  store_.tree.OpenGate();
  if (s.ok()) {
    store_.tree.MarkChanged();
    map_.counters().Add(Counter::kBulkRecords, records_);
  }
  return s;
}

// What was deleted from the store may still be a snapshot's, and lie in its leaves.
Status BulkLoader::Impl::RetainForSnapshots() {
  if (!store_.versions.HasSnapshots()) return Status();
  Tree& tree = store_.tree;
  std::string low;
  std::vector<RecordView> records;
  for (bool more = true; more;) {
    LeafSnapshot leaf;
    if (Status s = tree.PinLeaf(low, SeekTo::kAt, &leaf); !s.ok()) return s;
    if (leaf.node.data() == nullptr) break;
    Status s = Leaf(map_, leaf.node).GatherAll(leaf.tail_count, &records);
    if (s.ok() && TUFF_ORDER("bulk.keep")) {
      store_.versions.Retain(tree.object_id(), records, tree.filled_at());
    }
    more = leaf.node.has_high();
    if (more) low = leaf.node.high();
    tree.Unpin(leaf.node.pfn());
    if (!s.ok()) return s;
  }
  return Status();
}

// The store gets the tree; its own, which is empty, hangs in the graveyard instead.
Status BulkLoader::Impl::SwapRoots() {
  Tree& tree = store_.tree;
  Cursor cursor(tree, {});
  cursor.SeekToFirst();
  if (!cursor.status().ok()) return cursor.status();
  if (cursor.Valid()) {
    return Status(Code::kConflict, "the store has been written to during the bulk load");
  }
  if (Status s = RetainForSnapshots(); !s.ok()) return s;
  LaneHold lane(map_.lanes());
  lane.Take();
  const Versions::WriterMark mark(&store_.versions, tree.object_id());
  const LatchHold store_latch(tree.anchor_latch());
  const LatchHold building_latch(tree_->anchor_latch());
  RedoLog redo(map_.domain(), map_.lanes(), map_.allocator(), lane.Take());
  redo.AddWord(tree.root_place(), tree_->root_word());
  redo.AddWord(tree_->root_place(), tree.root_word());
  if (Status s = redo.Prepare(); !s.ok()) return s;
  const Versions::InFlight in_flight(&store_.versions);
  const uint64_t number = map_.NextNumber();
  if (number == 0) return map_.domain().CheckWritable();
  if (TUFF_ORDER("bulk.filled")) tree.SetFilledAt(number);
  WriteWindow window(map_.domain());
  return redo.CommitAndApply(window);
}

BulkLoader::BulkLoader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BulkLoader::~BulkLoader() = default;

Status BulkLoader::Add(std::string_view key, std::string_view value) {
  return NoThrow([&] { return impl_->Add(key, value); });
}
Status BulkLoader::Finish() {
  return NoThrow([&] { return impl_->Finish(); });
}
uint64_t BulkLoader::records() const { return impl_->records(); }

Result<std::unique_ptr<BulkLoader>> Store::NewBulkLoader() {
  std::unique_ptr<BulkLoader> loader;
  Status s = NoThrow([&] {
    loader.reset(new BulkLoader(std::make_unique<BulkLoader::Impl>(*impl_)));
    return loader->impl_->Begin();
  });
  if (!s.ok()) return s;
  return loader;
}

}  // namespace tuff
