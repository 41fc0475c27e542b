#include "engine/scrub_position.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "pagemap/checksum.h"
#include "pagemap/pfn.h"
#include "tuff/options.h"

namespace tuff {
namespace {

constexpr std::string_view kTag = "tuff-scrub-2";

// Damaged objects that a text names; of more, it says that any may be.
constexpr size_t kDamagedMax = 64;

uint64_t CheckOf(std::string_view text) { return Hash64(text.data(), text.size()); }

bool ParseHex(std::string_view text, uint64_t* number) {
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number, 16);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseKey(std::string_view text, std::string* key) {
  if (text.size() % 2 != 0 || text.size() > 2 * kKeySizeMax) return false;
  key->clear();
  for (size_t i = 0; i < text.size(); i += 2) {
    uint64_t byte = 0;
    if (!ParseHex(text.substr(i, 2), &byte)) return false;
    key->push_back(static_cast<char>(byte));
  }
  return true;
}

bool ParseIds(std::string_view text, std::set<uint32_t>* ids) {
  if (text.size() % 8 != 0 || text.size() > 8 * kDamagedMax) return false;
  ids->clear();
  for (size_t i = 0; i < text.size(); i += 8) {
    uint64_t id = 0;
    if (!ParseHex(text.substr(i, 8), &id)) return false;
    ids->insert(static_cast<uint32_t>(id));
  }
  return true;
}

}  // namespace

std::string FormatPosition(const ScrubPosition& position, uint64_t pool) {
  std::string text = fmt::format("{}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:", kTag, pool, position.mount,
                                 position.sound ? 1 : 0, static_cast<unsigned>(position.phase),
                                 position.object_id, position.pfn);
  if (position.damaged.size() > kDamagedMax) {
    text += fmt::format("{:08x}", ScrubPosition::kAnyObject);
  } else {
    for (const uint32_t id : position.damaged) text += fmt::format("{:08x}", id);
  }
  text += ':';
  for (const char c : position.key) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text + fmt::format(":{:x}", CheckOf(text));
}

bool ParsePosition(std::string_view text, uint64_t pool, ScrubPosition* position) {
  std::vector<std::string_view> fields;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(':', at), text.size());
    fields.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  uint64_t of_pool = 0;
  uint64_t sound = 0;
  uint64_t phase = 0;
  uint64_t check = 0;
  if (fields.size() != 10 || fields[0] != kTag || !ParseHex(fields[1], &of_pool) ||
      !ParseHex(fields[2], &position->mount) || !ParseHex(fields[3], &sound) ||
      !ParseHex(fields[4], &phase) || !ParseHex(fields[5], &position->object_id) ||
      !ParseHex(fields[6], &position->pfn) || !ParseIds(fields[7], &position->damaged) ||
      !ParseKey(fields[8], &position->key) || !ParseHex(fields[9], &check)) {
    return false;
  }
  position->sound = sound == 1;
  position->phase = static_cast<ScrubPosition::Phase>(phase);
  return of_pool == pool && sound <= 1 &&
         phase <= static_cast<uint64_t>(ScrubPosition::Phase::kEnd) &&
         position->object_id <= 1ull << 32 && position->pfn <= 1ull << kPfnBits &&
         check == CheckOf(text.substr(0, text.rfind(':')));
}

}  // namespace tuff
