#include "tuff/status.h"

#include "tuff/options.h"

namespace tuff {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kNotFound:
      return "not found";
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kLocked:
      return "locked";
    case Code::kCorruption:
      return "damaged";
    case Code::kNoSpace:
      return "no space";
    case Code::kPermission:
      return "no permission";
    case Code::kIo:
      return "I/O error";
    case Code::kExists:
      return "exists";
    case Code::kTooLarge:
      return "too large";
    case Code::kReadOnly:
      return "read-only";
    case Code::kBusy:
      return "busy";
    case Code::kNotSupported:
      return "not supported";
    case Code::kNoMemory:
      return "no memory";
    case Code::kConflict:
      return "conflict";
    case Code::kExpired:
      return "expired";
  }
  return "?";
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  return std::string(CodeName(code_)) + ": " + std::string(message());
}

std::string_view GranularityName(Granularity granularity) {
  switch (granularity) {
    case Granularity::kByte:
      return "byte";
    case Granularity::kCacheLine:
      return "cache-line";
    case Granularity::kPage:
      return "page";
  }
  return "?";
}

}  // namespace tuff
