// On-media: objects (stores, volumes, raw) and the catalogue that lists them.
#pragma once

#include "pagemap/format_table.h"
#include "pagemap/pfn.h"

namespace tuff {

/// Kinds of object. The numbers are permanent.
enum class ObjectKind : uint32_t {
  kCatalogue = 1,
  kStore = 2,
  kVolume = 3,
  kRaw = 4,
  kGraveyard = 5,
  kBuilding = 6,
};

/// The catalogue's own id; smaller ids than kFirstObjectId are the pool's.
inline constexpr uint32_t kCatalogueObjectId = 1;

/// An object's immovable frame.
struct Anchor {
  uint64_t checksum;
  uint32_t object_id;
  uint32_t kind;
  uint64_t created_ns;
  uint64_t reserved_fixed[5];
  uint64_t root;
  uint64_t flags;
  uint64_t modified_ns;
  uint64_t attributes_changed_ns;
  uint64_t change_counter;
  uint64_t reserved_words[3];
};

inline constexpr Field kAnchorFields[] = {
    TUFF_FIELD(Anchor, checksum, Hex,
               "Checksum64 of the bytes from the next field to `root`, seeded with the pool's "
               "hash_seed and the pfn"),
    TUFF_FIELD(Anchor, object_id, Decimal, "never used before in this pool"),
    TUFF_FIELD(Anchor, kind, Decimal,
               "1 catalogue, 2 store, 3 volume, 4 raw, 5 graveyard, 6 a tree being built"),
    TUFF_FIELD(Anchor, created_ns, Decimal, "nanoseconds since the epoch"),
    TUFF_FIELD(Anchor, reserved_fixed, Bytes, "0"),
    TUFF_FIELD(Anchor, root, Hex,
               "the root word: as a child word; 0 for an empty tree. This and what follows change "
               "by 8-byte stores and are outside the checksum"),
    TUFF_FIELD(Anchor, flags, Hex, "0"),
    TUFF_FIELD(Anchor, modified_ns, Decimal, "last change of contents before the last clean close"),
    TUFF_FIELD(Anchor, attributes_changed_ns, Decimal, "last change of name or flags"),
    TUFF_FIELD(Anchor, change_counter, Decimal, "grows with every mount that changed the contents"),
    TUFF_FIELD(Anchor, reserved_words, Bytes, "0"),
};
TUFF_FORMAT(Anchor, kAnchorFields,
            "Lies at the start of an object's frame; the catalogue's is frame 2. The rest of the "
            "frame is 0.");

/// The value of a catalogue record; the object's name follows. Its key is the id, big-endian.
struct CatalogueEntry {
  uint64_t anchor_pfn;
  uint32_t kind;
  uint32_t reserved;
};
inline constexpr Field kCatalogueEntryFields[] = {
    TUFF_FIELD(CatalogueEntry, anchor_pfn, Decimal, "the object's anchor"),
    TUFF_FIELD(CatalogueEntry, kind, Decimal, "as in the anchor"),
    TUFF_FIELD(CatalogueEntry, reserved, Decimal, "0"),
};
TUFF_FORMAT(CatalogueEntry, kCatalogueEntryFields,
            "The value of a catalogue record, followed by the object's name. The record's key is "
            "the object id, 4 bytes big-endian.");

/// The value of a graveyard record. Its key is the id of the anchor's object, big-endian.
struct GraveyardEntry {
  uint64_t anchor_pfn;
  uint32_t kind;
  uint32_t tree_object_id;
};
inline constexpr Field kGraveyardEntryFields[] = {
    TUFF_FIELD(GraveyardEntry, anchor_pfn, Decimal, "anchor of the tree that goes"),
    TUFF_FIELD(GraveyardEntry, kind, Decimal,
               "of the anchor: 2 a dropped store, 6 a tree that a bulk load builds, or what it has "
               "replaced"),
    TUFF_FIELD(GraveyardEntry, tree_object_id, Decimal, "the object that the tree's nodes name"),
};
TUFF_FORMAT(GraveyardEntry, kGraveyardEntryFields,
            "The value of a graveyard record. Of such a tree, what child words up to an inner "
            "node's last zero one led to is gone. The key is the anchor's object id, 4 bytes "
            "big-endian.");

}  // namespace tuff
