// Report: what an inspection has found, as a tree of named items. The program `tuff` prints it as
// text or as JSON; the tests read it.
//
// Ownership: plain values. Thread-safety: none.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tuff/status.h"

namespace tuff::inspect {

struct Item;

/// Named items, in the order in which they were added.
class Object {
 public:
  /// `meaning`: what the number stands for, in words.
  void Number(std::string_view name, uint64_t number, std::string meaning = "");
  void Hex(std::string_view name, uint64_t number, std::string meaning = "");
  void Real(std::string_view name, double number);
  void Bool(std::string_view name, bool value);
  void Time(std::string_view name, uint64_t since_epoch_ns);
  /// Words of ours, and bytes of the pool's, which may be any.
  void Text(std::string_view name, std::string text);
  void Bytes(std::string_view name, std::string_view bytes);
  /// Bytes to be shown one by one.
  void Dump(std::string_view name, std::string_view bytes);

  /// The object of this name; made if it is not there. It stays where it is.
  Object& Child(std::string_view name);
  /// The table of this name, likewise; without rows at first. Rows hold no objects.
  std::deque<Object>& Table(std::string_view name);
  Object& Row(std::string_view table);
  /// The list of this name, likewise. Its objects may hold anything.
  std::deque<Object>& List(std::string_view name);

  const std::deque<Item>& items() const { return items_; }
  /// The item of this name, or null.
  const Item* Find(std::string_view name) const;

 private:
  Item& Add(std::string_view name);

  std::deque<Item> items_;
};

struct Item {
  enum class Kind : uint8_t {
    kNumber,
    kHex,
    kReal,
    kBool,
    kTime,
    kText,
    kBytes,
    // Not on one line:
    kDump,
    kObject,
    kTable,
    kList,
  };
  std::string name;
  Kind kind = Kind::kNumber;
  uint64_t number = 0;  // kBool, too; kTime: nanoseconds since the epoch
  double real = 0;
  std::string text;            // kText, kBytes, kDump
  std::string meaning;         // or empty
  std::deque<Object> objects;  // kTable: the rows; kList; kObject: itself
};

struct Report {
  /// What must be known to read the rest: a line each.
  std::vector<std::string> notes;
  /// What is wrong with what was asked for: a line each.
  std::vector<std::string> damage;
  Object body;
  /// NotFound, if what was asked for is not there; the body tells how far that got.
  Status missing;
};

}  // namespace tuff::inspect
