#include "tests/concurrency/serial.h"

#include <utility>

namespace tuff::test {
namespace {

// Which node comes before which; closed under transitivity by Close.
class Order {
 public:
  explicit Order(size_t n) : n_(n), words_((n + 63) / 64), bits_(n * words_) {}

  bool Has(size_t a, size_t b) const { return (bits_[a * words_ + b / 64] >> (b % 64) & 1) != 0; }
  /// True if it is new.
  bool Add(size_t a, size_t b) {
    if (Has(a, b)) return false;
    bits_[a * words_ + b / 64] |= 1ull << (b % 64);
    return true;
  }
  void Close() {
    for (size_t via = 0; via < n_; via++) {
      for (size_t a = 0; a < n_; a++) {
        if (!Has(a, via)) continue;
        for (size_t w = 0; w < words_; w++) bits_[a * words_ + w] |= bits_[via * words_ + w];
      }
    }
  }

 private:
  const size_t n_;
  const size_t words_;
  std::vector<uint64_t> bits_;
};

constexpr size_t kStart = 0;  // the node that wrote version 0 of every key; event i is node i + 1

class Checker {
 public:
  explicit Checker(const std::vector<Event>& events) : events_(events), order_(events.size() + 1) {}

  std::optional<std::string> Run() {
    if (auto problem = FindWriters()) return problem;
    if (auto problem = AddKnown()) return problem;
    for (bool more = true; more;) {
      order_.Close();
      if (auto cycle = Cycle()) return cycle;
      more = false;
      for (const Read& read : reads_) more |= Derive(read);
    }
    return std::nullopt;
  }

 private:
  struct Read {
    size_t reader;
    size_t from;
    const std::vector<size_t>* writers;  // of the key
  };

  std::optional<std::string> FindWriters() {
    for (size_t i = 0; i < events_.size(); i++) {
      for (const auto& [key, version] : events_[i].writes) {
        if (version == 0 || !writer_of_.emplace(std::pair(key, version), i + 1).second) {
          return "version written twice: " + events_[i].ToString();
        }
        writers_[key].push_back(i + 1);
      }
    }
    return std::nullopt;
  }

  // From the start, from real time, and from reading.
  std::optional<std::string> AddKnown() {
    for (size_t a = 0; a < events_.size(); a++) {
      order_.Add(kStart, a + 1);
      for (size_t b = 0; b < events_.size(); b++) {
        if (events_[a].returned < events_[b].invoked) order_.Add(a + 1, b + 1);
      }
      for (const auto& [key, version] : events_[a].reads) {
        const auto writer = writer_of_.find({key, version});
        if (version != 0 && writer == writer_of_.end()) {
          return "read what nobody committed: " + events_[a].ToString();
        }
        const size_t from = version == 0 ? kStart : writer->second;
        if (from == a + 1) return "read its own write: " + events_[a].ToString();
        order_.Add(from, a + 1);
        reads_.push_back({a + 1, from, &writers_[key]});
      }
    }
    return std::nullopt;
  }

  bool Derive(const Read& read) {
    bool found = false;
    for (const size_t writer : *read.writers) {
      if (writer == read.from || writer == read.reader) continue;
      if (order_.Has(writer, read.reader)) found |= order_.Add(writer, read.from);
      if (order_.Has(read.from, writer)) found |= order_.Add(read.reader, writer);
    }
    return found;
  }

  std::optional<std::string> Cycle() const {
    std::string text;
    for (size_t i = 0; i <= events_.size(); i++) {
      if (!order_.Has(i, i)) continue;
      text += "  " + (i == kStart ? std::string("(start)") : events_[i - 1].ToString()) + "\n";
    }
    if (text.empty()) return std::nullopt;
    return "not strictly serializable; in cycles are\n" + text;
  }

  const std::vector<Event>& events_;
  Order order_;
  std::map<std::pair<std::string, uint64_t>, size_t> writer_of_;
  std::map<std::string, std::vector<size_t>> writers_;
  std::vector<Read> reads_;
};

}  // namespace

std::string Event::ToString() const {
  std::string text = "[" + std::to_string(invoked) + ", " + std::to_string(returned) + "] " + who;
  for (const auto& [key, version] : reads) text += " r(" + key + ")=" + std::to_string(version);
  for (const auto& [key, version] : writes) text += " w(" + key + ")=" + std::to_string(version);
  return text;
}

std::optional<std::string> FindCycle(const std::vector<Event>& events) {
  return Checker(events).Run();
}

}  // namespace tuff::test
