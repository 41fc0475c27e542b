// Problems: everything that can be wrong with a pool, as `tuff fsck` names it.
//
// Codes and names are permanent: scripts and monitoring depend on them. The list makes the table of
// docs/fsck.md too.
// Thread-safety: constants.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tuff {

enum class ProblemCode : uint16_t {
  kSuperblockCopy = 101,
  kSuperblocksLost = 102,
  kTruncated = 103,
  kNumbersBehind = 104,
  kLaneDamaged = 201,
  kLaneNotEmpty = 202,
  kOwnerDamaged = 301,
  kOwnerWrong = 302,
  kLeaked = 303,
  kOwnerOfTable = 304,
  kOwnerInside = 305,
  kReferredTwice = 306,
  kAnchorDamaged = 401,
  kChildWord = 402,
  kNodeDamaged = 403,
  kWrongRange = 404,
  kRecordDamaged = 501,
  kLogDamaged = 502,
  kCatalogueRecord = 601,
  kGraveyardRecord = 602,
  kOrphan = 603,
  kGraveyardFlag = 604,
  kDroppedStore = 605,
};

/// What a problem costs.
enum class Severity : uint8_t {
  kCosmetic,  // nothing can be lost by it or by its repair; `tuff fsck -p` repairs it
  kDamage,    // data is out of reach until it is repaired; found again in the repair
  kLoss,      // records or names may be lost
};

struct ProblemKind {
  ProblemCode code;
  const char* name;
  Severity severity;
  const char* meaning;
  const char* repair;
};

/// All, by code.
std::span<const ProblemKind> ProblemKinds();
const ProblemKind& KindOf(ProblemCode code);
const char* SeverityName(Severity severity);
/// The table in Markdown, as docs/fsck.md has it.
std::string ProblemsMarkdown();

}  // namespace tuff
