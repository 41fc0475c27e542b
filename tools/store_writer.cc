#include "tools/store_writer.h"

#include <fmt/format.h>

#include <utility>

namespace tuff::tools {
namespace {

// A batch is a write; more in one hardly makes it cheaper, and is lost if the process is killed.
constexpr size_t kBatchRecords = 1000;
constexpr size_t kBatchBytes = 1u << 20;
static_assert(kBatchRecords <= kBatchOperationsMax &&
              kBatchBytes + kRecordSizeMax < kBatchBytesMax);

}  // namespace

Status CheckRecord(std::string_view key, std::string_view value) {
  if (key.empty()) return {Code::kInvalidArgument, "the key is empty; a key has at least one byte"};
  if (key.size() > kKeySizeMax) {
    return {Code::kTooLarge,
            fmt::format("a key of {} bytes; at most {} are allowed", key.size(), kKeySizeMax)};
  }
  if (value.size() > ValueSizeMax(key.size())) {
    return {Code::kTooLarge,
            fmt::format("a value of {} bytes under a key of {}; at most {} are allowed",
                        value.size(), key.size(), ValueSizeMax(key.size()))};
  }
  return {};
}

Status StoreWriter::TryBulk() {
  Result<std::unique_ptr<BulkLoader>> loader = store_->NewBulkLoader();
  if (loader.ok()) {
    loader_ = *std::move(loader);
    return {};
  }
  const Code code = loader.status().code();
  const bool batches_may_do = code == Code::kInvalidArgument || code == Code::kNoSpace;
  return batches_may_do ? Status() : loader.TakeStatus();
}

Status StoreWriter::Put(std::string_view key, std::string_view value) {
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (loader_ != nullptr) {
    Status s = loader_->Add(key, value);
    if (s.ok()) {
      ++pending_.records;
      pending_.bytes += key.size() + value.size();
      return s;
    }
    if (s.code() != Code::kInvalidArgument) {
      loader_.reset();
      pending_ = {};
      if (s.code() != Code::kNoSpace) return s;
      return {s.code(), fmt::format("{}; --no-bulk keeps what fits", s.message())};
    }
    // Not above the one before it: from here on the order does not matter.
    if (s = FinishBulk(); !s.ok()) return s;
  }
  records_.push_back({std::string(key), std::string(value)});
  ++pending_.records;
  pending_.bytes += key.size() + value.size();
  return records_.size() >= kBatchRecords || pending_.bytes >= kBatchBytes ? Flush() : Status();
}

Status StoreWriter::Flush() {
  if (loader_ != nullptr) return FinishBulk();
  if (records_.empty()) return {};
  const std::vector<Record> records = std::exchange(records_, {});
  Status s = WriteBatchOf(records);
  // A batch needs room for its log too; single puts go on to the last byte, and find what fails.
  if (s.code() == Code::kNoSpace) {
    pending_ = {};
    return PutOneByOne(records);
  }
  if (s.ok()) Written(pending_);
  pending_ = {};
  return s;
}

Status StoreWriter::FinishBulk() {
  Status s = loader_->Finish();
  loader_.reset();
  const Count count = std::exchange(pending_, {});
  if (!s.ok()) return s;
  bulk_ = count;
  Written(count);
  return {};
}

Status StoreWriter::WriteBatchOf(const std::vector<Record>& records) {
  WriteBatch batch;
  for (const Record& record : records) {
    if (Status s = batch.Put(*store_, record.key, record.value); !s.ok()) return s;
  }
  return pool_->Write(batch);
}

Status StoreWriter::PutOneByOne(const std::vector<Record>& records) {
  for (const Record& record : records) {
    if (Status s = store_->Put(record.key, record.value); !s.ok()) return s;
    Written({1, record.key.size() + record.value.size()});
  }
  return {};
}

void StoreWriter::Written(const Count& count) {
  written_.records += count.records;
  written_.bytes += count.bytes;
}

}  // namespace tuff::tools
