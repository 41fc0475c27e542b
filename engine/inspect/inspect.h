// What `tuff inspect` shows of a pool, be it damaged, not closed or in use.
//
// Each function looks at the image as it lies there and changes nothing. Whatever the file holds,
// it ends, and reads no byte outside the file. What is damaged is named in Report::damage, and
// everything else is still there.
// Thread-safety: from any thread.
#pragma once

#include <string>

#include "engine/image.h"
#include "engine/inspect/report.h"

namespace tuff::inspect {

/// Both copies of the superblock, which one counts, and where they differ.
Report Superblocks(const PoolImage& image);
/// What the lanes hold, and what the next open does about it.
Report LaneEntries(const PoolImage& image);
/// What the process that has the pool open tells of its snapshots.
Report Snapshots(const PoolImage& image);
/// The page blocks whose descriptors have been initialised in this mount.
Report Descriptors(const PoolImage& image);

/// Where a section's tables lie, and who has how much of its frames. Errors: NotFound.
Result<Report> Section(const PoolImage& image, uint64_t section);
/// Free runs by order, for each section; sections that are wholly unused in one row.
Report BuddyInfo(const PoolImage& image);

/// One frame: its owner, what it holds, and who refers to it. `hex`: its bytes, too.
/// Errors: NotFound.
Result<Report> Frame(const PoolImage& image, Pfn pfn, bool hex);
/// One node: header, base, log and the checksums' verdicts. Errors: NotFound.
Result<Report> Node(const PoolImage& image, Pfn pfn, bool hex);

/// The shape of a tree: levels, how full the nodes are, how long the logs. Reads all of it.
/// `store`: a name; or "/catalogue", "/graveyard", "/ID" of an object. Errors: NotFound.
Result<Report> Tree(const PoolImage& image, const std::string& store);
/// The way from the root to a key's records. Errors: NotFound (the store; of a key, in the report).
Result<Report> Key(const PoolImage& image, const std::string& store, const std::string& key);

}  // namespace tuff::inspect
