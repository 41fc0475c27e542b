#include "tools/loader.h"

#include <fmt/format.h>

#include <utility>

#include "tools/escape.h"

namespace tuff::tools {

Loader::Loader(Pool* pool, RecordReader* reader, Options options, KeepOn keep_on)
    : pool_(pool), reader_(reader), options_(std::move(options)), keep_on_(std::move(keep_on)) {}

Status Loader::Run() {
  while (!stopped_) {
    std::string database;
    Result<bool> section = reader_->NextSection(&database);
    if (!section.ok()) return section.TakeStatus();
    if (!*section) break;
    const bool wanted = !options_.database || *options_.database == database;
    if (Status s = wanted ? LoadSection(database) : SkipSection(); !s.ok()) return s;
  }
  if (!stopped_ && options_.database && stores_.empty()) {
    return {Code::kNotFound,
            fmt::format("the input has no database {}", Quoted(*options_.database))};
  }
  return {};
}

Status Loader::AtLine(Status status) const {
  return {status.code(), fmt::format("line {}: {}", reader_->line_number(), status.message())};
}

Result<std::string> Loader::StoreFor(const std::string& database) {
  if (!options_.store) {
    if (!database.empty()) return database;
    return AtLine(
        {Code::kInvalidArgument, "a section without a line database=NAME; load it without --all"});
  }
  if (!stores_.empty()) {
    return AtLine({Code::kInvalidArgument,
                   fmt::format("a second database, {}, begins; use --all to load each into the "
                               "store of its name, or --database to load one of them",
                               Quoted(database))});
  }
  return *options_.store;
}

Status Loader::LoadSection(const std::string& database) {
  Result<std::string> name = StoreFor(database);
  if (!name.ok()) return name.TakeStatus();
  Result<Store*> store = pool_->OpenOrCreateStore(*name);
  if (!store.ok()) return AtLine(store.TakeStatus());
  stores_.push_back({*name});
  StoreWriter writer(pool_, *store);
  Status status = options_.bulk ? writer.TryBulk() : Status();
  if (status.ok()) status = LoadRecords(&writer);
  // Whatever ended it: what came before is as good as if the input had ended there.
  Status flushed = writer.Flush();
  for (StoreCount* count : {&stores_.back(), &total_}) {
    count->records += writer.written().records;
    count->bytes += writer.written().bytes;
    count->bulk_records += writer.bulk().records;
  }
  if (!status.ok()) return status;
  return flushed.ok() ? Status() : AtLine(std::move(flushed));
}

Status Loader::LoadRecords(StoreWriter* writer) {
  for (;;) {
    Result<bool> more = reader_->NextRecord(&key_, &value_);
    if (!more.ok()) return more.TakeStatus();
    if (!*more) return {};
    if (Status s = writer->Put(key_, value_); !s.ok()) return AtLine(std::move(s));
    stopped_ = !keep_on_(++records_read_);
    if (stopped_) return {};
  }
}

Status Loader::SkipSection() {
  for (;;) {
    Result<bool> more = reader_->NextRecord(&key_, &value_);
    if (!more.ok()) return more.TakeStatus();
    if (!*more) return {};
  }
}

}  // namespace tuff::tools
