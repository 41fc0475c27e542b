#include "engine/inspect/report.h"

#include <algorithm>

namespace tuff::inspect {

Item& Object::Add(std::string_view name) {
  Item& item = items_.emplace_back();
  item.name = name;
  return item;
}

const Item* Object::Find(std::string_view name) const {
  const auto found = std::find_if(items_.begin(), items_.end(),
                                  [&](const Item& item) { return item.name == name; });
  return found == items_.end() ? nullptr : &*found;
}

void Object::Number(std::string_view name, uint64_t number, std::string meaning) {
  Item& item = Add(name);
  item.number = number;
  item.meaning = std::move(meaning);
}

void Object::Hex(std::string_view name, uint64_t number, std::string meaning) {
  Number(name, number, std::move(meaning));
  items_.back().kind = Item::Kind::kHex;
}

void Object::Real(std::string_view name, double number) {
  Item& item = Add(name);
  item.kind = Item::Kind::kReal;
  item.real = number;
}

void Object::Bool(std::string_view name, bool value) {
  Number(name, value ? 1 : 0);
  items_.back().kind = Item::Kind::kBool;
}

void Object::Time(std::string_view name, uint64_t since_epoch_ns) {
  Number(name, since_epoch_ns);
  items_.back().kind = Item::Kind::kTime;
}

void Object::Text(std::string_view name, std::string text) {
  Item& item = Add(name);
  item.kind = Item::Kind::kText;
  item.text = std::move(text);
}

void Object::Bytes(std::string_view name, std::string_view bytes) {
  Text(name, std::string(bytes));
  items_.back().kind = Item::Kind::kBytes;
}

void Object::Dump(std::string_view name, std::string_view bytes) {
  Text(name, std::string(bytes));
  items_.back().kind = Item::Kind::kDump;
}

Object& Object::Child(std::string_view name) {
  for (Item& item : items_) {
    if (item.name == name) return item.objects.front();
  }
  Item& item = Add(name);
  item.kind = Item::Kind::kObject;
  return item.objects.emplace_back();
}

std::deque<Object>& Object::Table(std::string_view name) {
  for (Item& item : items_) {
    if (item.name == name) return item.objects;
  }
  Item& item = Add(name);
  item.kind = Item::Kind::kTable;
  return item.objects;
}

std::deque<Object>& Object::List(std::string_view name) {
  std::deque<Object>& list = Table(name);
  for (Item& item : items_) {
    if (item.name == name) item.kind = Item::Kind::kList;
  }
  return list;
}

Object& Object::Row(std::string_view table) { return Table(table).emplace_back(); }

}  // namespace tuff::inspect
