#include "tools/json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "tools/escape.h"
#include "tools/utf8.h"

namespace tuff::tools {

using Json = nlohmann::ordered_json;

struct JsonObject::Impl {
  Json json = Json::object();
};

JsonObject::JsonObject() : impl_(std::make_unique<Impl>()) {}
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
JsonObject::~JsonObject() = default;

void JsonObject::SetBytes(std::string_view name, std::string_view bytes) {
  const bool text = IsUtf8(bytes);
  impl_->json[std::string(name) + (text ? "" : "_base64")] =
      text ? std::string(bytes) : Base64(bytes);
}

void JsonObject::SetNumber(std::string_view name, uint64_t number) {
  impl_->json[std::string(name)] = number;
}

void JsonObject::SetReal(std::string_view name, double number) {
  impl_->json[std::string(name)] = number;
}

void JsonObject::SetBool(std::string_view name, bool value) {
  impl_->json[std::string(name)] = value;
}

void JsonObject::SetObject(std::string_view name, const JsonObject& object) {
  impl_->json[std::string(name)] = object.impl_->json;
}

void JsonObject::SetNull(std::string_view name) { impl_->json[std::string(name)] = nullptr; }

void JsonObject::SetArray(std::string_view name, const std::vector<JsonObject>& items) {
  Json array = Json::array();
  for (const JsonObject& item : items) array.push_back(item.impl_->json);
  impl_->json[std::string(name)] = std::move(array);
}

void JsonObject::SetStrings(std::string_view name, const std::vector<std::string>& strings) {
  Json array = Json::array();
  for (const std::string& text : strings) array.push_back(IsUtf8(text) ? text : Escape(text));
  impl_->json[std::string(name)] = std::move(array);
}

std::string JsonArrayLine(const std::vector<JsonObject>& items) {
  Json array = Json::array();
  for (const JsonObject& item : items) array.push_back(item.impl_->json);
  return array.dump();
}

std::string JsonObject::Line() const { return impl_->json.dump(); }

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = i; j < i + 3; ++j) {
      group = group << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0u);
    }
    for (size_t digit = 0; digit < 4; ++digit) {
      const bool padding = i + digit > bytes.size();
      out.push_back(padding ? '=' : kDigits[group >> (18 - 6 * digit) & 63]);
    }
  }
  return out;
}

}  // namespace tuff::tools
