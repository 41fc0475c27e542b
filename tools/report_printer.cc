#include "tools/report_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tools/escape.h"
#include "tools/sizes.h"

namespace tuff::tools {
namespace {

using inspect::Item;
using inspect::Object;
using Kind = inspect::Item::Kind;

constexpr size_t kBytesShown = 200;

std::string BytesText(std::string_view bytes) {
  if (bytes.size() <= kBytesShown) return '"' + Escape(bytes) + '"';
  return fmt::format("\"{}\"... ({} bytes)", Escape(bytes.substr(0, kBytesShown)), bytes.size());
}

std::string NumberText(const Item& item) {
  return item.kind == Kind::kHex ? fmt::format("{:#x}", item.number)
                                 : fmt::format("{}", item.number);
}

std::string ValueText(const Item& item) {
  switch (item.kind) {
    case Kind::kNumber:
    case Kind::kHex:
      return NumberText(item);
    case Kind::kReal:
      return fmt::format("{:.1f}", item.real);
    case Kind::kBool:
      return item.number != 0 ? "yes" : "no";
    case Kind::kTime:
      return item.number == 0 ? "0" : fmt::format("{} ({})", item.number, FormatTime(item.number));
    case Kind::kText:
      return item.text.empty() ? "-" : Escape(item.text);
    case Kind::kBytes:
      return BytesText(item.text);
    case Kind::kDump:
    case Kind::kObject:
    case Kind::kTable:
    case Kind::kList:
      break;
  }
  return "";
}

bool IsScalar(const Item& item) { return item.kind < Kind::kDump; }

bool IsNumber(const Item& item) {
  return (item.kind == Kind::kNumber && item.meaning.empty()) || item.kind == Kind::kReal;
}

// What stands in a table: there is no room for a number and what it means.
std::string CellText(const Item& item) {
  return item.meaning.empty() ? ValueText(item) : Escape(item.meaning);
}

std::string Indented(const std::string& text, size_t columns) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (text[at] != '\n') out += std::string(columns, ' ');
    out += text.substr(at, end - at);
    at = end;
  }
  return out;
}

struct Column {
  std::string name;
  size_t width = 0;
  bool numbers = true;
};

// One below the other, with an empty line between.
std::string ListText(const std::deque<Object>& entries) {
  std::string out;
  for (const Object& entry : entries) out += (out.empty() ? "" : "\n") + ObjectText(entry);
  return out;
}

std::string TableText(const std::deque<Object>& rows) {
  std::vector<Column> columns;
  for (const Object& row : rows) {
    for (const Item& item : row.items()) {
      auto column = std::find_if(columns.begin(), columns.end(),
                                 [&](const Column& known) { return known.name == item.name; });
      if (column == columns.end()) {
        column = columns.insert(column, {item.name, item.name.size()});
      }
      column->width = std::max(column->width, CellText(item).size());
      column->numbers = column->numbers && IsNumber(item);
    }
  }
  std::string out;
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (const Column& column : columns) {
      const std::string text = cell(column);
      if (!line.empty()) line += "  ";
      line += column.numbers ? fmt::format("{:>{}}", text, column.width)
                             : fmt::format("{:<{}}", text, column.width);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  add_line([](const Column& column) { return column.name; });
  for (const Object& row : rows) {
    add_line([&](const Column& column) {
      const Item* item = row.Find(column.name);
      return item == nullptr ? std::string("-") : CellText(*item);
    });
  }
  return out;
}

}  // namespace

std::string HexDump(std::string_view bytes) {
  constexpr size_t kLine = 16;
  std::string out;
  std::string_view last;
  bool repeated = false;
  for (size_t at = 0; at < bytes.size(); at += kLine) {
    const std::string_view line = bytes.substr(at, kLine);
    if (at > 0 && line == last) {
      if (!repeated) out += "*\n";
      repeated = true;
      continue;
    }
    repeated = false;
    last = line;
    out += fmt::format("{:08x} ", at);
    std::string text;
    for (size_t i = 0; i < kLine; i++) {
      if (i % 8 == 0) out += ' ';
      if (i >= line.size()) {
        out += "   ";
        continue;
      }
      const auto byte = static_cast<unsigned char>(line[i]);
      AppendHex(byte, &out);
      out += ' ';
      text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
    }
    out += " |" + text + "|\n";
  }
  return out + fmt::format("{:08x}\n", bytes.size());
}

std::string HeadText(const inspect::Report& report) {
  std::string out;
  for (const std::string& note : report.notes) out += "note: " + Escape(note) + '\n';
  for (const std::string& damage : report.damage) out += "damaged: " + Escape(damage) + '\n';
  return out.empty() ? out : out + '\n';
}

std::string ObjectText(const Object& object) {
  std::string out;
  size_t width = 0;
  for (const Item& item : object.items()) {
    if (IsScalar(item)) width = std::max(width, item.name.size());
  }
  for (const Item& item : object.items()) {
    if (!IsScalar(item)) continue;
    out += fmt::format("{:<{}}  {}", item.name, width, ValueText(item));
    out += item.meaning.empty() ? "\n" : " (" + Escape(item.meaning) + ")\n";
  }
  for (const Item& item : object.items()) {
    if (IsScalar(item) || (item.kind == Kind::kList && item.objects.empty())) continue;
    if (item.kind == Kind::kTable && item.objects.empty()) {
      out += fmt::format("\n{}: none\n", item.name);
      continue;
    }
    out += fmt::format("\n{}:\n", item.name);
    const std::string inside = item.kind == Kind::kDump    ? HexDump(item.text)
                               : item.kind == Kind::kTable ? TableText(item.objects)
                                                           : ListText(item.objects);
    out += Indented(inside, 2);
  }
  return out;
}

void AddJson(const Object& object, JsonObject* json) {
  for (const Item& item : object.items()) {
    switch (item.kind) {
      case Kind::kNumber:
      case Kind::kTime:
        json->SetNumber(item.name, item.number);
        break;
      case Kind::kHex:
        json->SetBytes(item.name, NumberText(item));
        break;
      case Kind::kReal:
        json->SetReal(item.name, item.real);
        break;
      case Kind::kBool:
        json->SetBool(item.name, item.number != 0);
        break;
      case Kind::kText:
      case Kind::kBytes:
        json->SetBytes(item.name, item.text);
        break;
      case Kind::kDump:
        json->SetBytes(item.name + "_base64", Base64(item.text));
        break;
      case Kind::kObject: {
        JsonObject inside;
        AddJson(item.objects.front(), &inside);
        json->SetObject(item.name, inside);
        break;
      }
      case Kind::kTable:
      case Kind::kList: {
        std::vector<JsonObject> rows(item.objects.size());
        for (size_t i = 0; i < rows.size(); i++) AddJson(item.objects[i], &rows[i]);
        json->SetArray(item.name, rows);
        break;
      }
    }
    if (!item.meaning.empty()) json->SetBytes(item.name + "_text", item.meaning);
  }
}

}  // namespace tuff::tools
