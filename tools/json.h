// JSON output, kept apart from the library behind it (nlohmann-json, which compiles slowly; only
// json.cc includes it).
//
// Bytes that may be anything (keys, values, names, paths) go in by SetBytes: as the string NAME if
// they are UTF-8, else as the string NAME_base64 (RFC 4648, padded). Exactly one of the two
// appears. Thread-safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tuff::tools {

class JsonObject {
 public:
  JsonObject();
  JsonObject(JsonObject&&) noexcept;
  JsonObject& operator=(JsonObject&&) noexcept;
  ~JsonObject();

  void SetBytes(std::string_view name, std::string_view bytes);
  void SetNumber(std::string_view name, uint64_t number);
  void SetReal(std::string_view name, double number);
  void SetBool(std::string_view name, bool value);
  void SetObject(std::string_view name, const JsonObject& object);
  void SetNull(std::string_view name);
  void SetArray(std::string_view name, const std::vector<JsonObject>& items);
  /// An array of strings: those that are not UTF-8, escaped as in text (escape.h).
  void SetStrings(std::string_view name, const std::vector<std::string>& strings);

  friend std::string JsonArrayLine(const std::vector<JsonObject>& items);

  /// On one line, without a newline; members in the order they were set.
  std::string Line() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// An array of objects, on one line, without a newline.
std::string JsonArrayLine(const std::vector<JsonObject>& items);

/// RFC 4648 with padding. What `base64 -d` reads.
std::string Base64(std::string_view bytes);

}  // namespace tuff::tools
