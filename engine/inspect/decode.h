// Decoding of on-media structures for a Report, from their field tables.
//
// Thread-safety: pure functions.
#pragma once

#include <string>

#include "engine/image.h"
#include "engine/inspect/report.h"
#include "engine/object_format.h"
#include "pagemap/format_table.h"
#include "pagemap/lanes.h"

namespace tuff::inspect {

/// Adds every field of the structure that begins at `at`; reserved ones only if they are not 0.
void AddFields(const FormatTable& table, const void* at, Object* to);

std::string FrameKindName(uint64_t kind);
std::string ObjectKindName(uint64_t kind);
/// "pfn 12, tag 0x3"; "none" of 0.
std::string ChildWordText(uint64_t word);
/// "tree node of object 16, 4 frames"; "free"; "damaged".
std::string OwnerText(Pfn pfn, uint64_t word);
/// "pfn 12, byte 64".
std::string PlaceText(uint64_t offset);

/// The first frame of the run that `pfn` is in, as owner words tell; `pfn` itself if in none.
Pfn HeadOfRun(const PoolImage& image, Pfn pfn);
/// "lane 3", "frame table of section 1", ...; empty for a frame that is none of the pool's own.
std::string TableName(Pfn pfn);

/// "1 frame", "2 frames".
std::string Count(uint64_t n, std::string_view thing);

/// OK, or what is wrong with an anchor. REQUIRES: pfn < image.frames().
Status CheckAnchor(const PoolImage& image, Pfn pfn, uint32_t object_id);

/// What a lane holds, all that can be told of it.
LaneReading ReadLane(const PoolImage& image, unsigned lane);

/// True if nobody has the pool open for writing, and who had it has closed it.
bool AtRest(const PoolImage& image);

/// Adds what must be known of the image whatever is asked: in use, not closed, truncated, ...
void AddNotes(const PoolImage& image, Report* report);

}  // namespace tuff::inspect
