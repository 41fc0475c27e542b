// The registry of verbs.
#include "tools/verb.h"

namespace tuff::tools {
namespace {

constexpr VerbEntry kVerbs[] = {
    {"create", "make a new pool", MakeCreateVerb},
    {"info", "describe a pool", MakeInfoVerb},
    {"stats", "measure what is in a pool, and how full it is", MakeStatsVerb},
    {"stores", "list the stores of a pool", MakeStoresVerb},
    {"rename", "give a store another name", MakeRenameVerb},
    {"drop", "remove a store", MakeDropVerb},
    {"put", "set a key to a value", MakePutVerb},
    {"get", "print the value of a key", MakeGetVerb},
    {"delete", "remove a key, or a range of keys", MakeDeleteVerb},
    {"batch", "apply a script of puts and deletes, all of it or nothing", MakeBatchVerb},
    {"scan", "print keys and values in order, one record per line", MakeScanVerb},
    {"count", "say how many keys there are", MakeCountVerb},
    {"load", "put the records of a dump, or of lines of text, into a store", MakeLoadVerb},
    {"dump", "write a store in the portable format of db_dump and mdb_dump", MakeDumpVerb},
    {"fsck", "check a pool, repair it", MakeFsckVerb},
    {"scrub", "check a pool, and clear the mark of a crash", MakeScrubVerb},
    {"inspect", "show what lies in a pool, damaged or not", MakeInspectVerb},
    {"salvage", "make a new pool from what is found in a damaged one", MakeSalvageVerb},
    {"dump-metadata", "write a pool without its values, to be looked at elsewhere",
     MakeDumpMetadataVerb},
    {"restore-metadata", "make a pool of what dump-metadata has written", MakeRestoreMetadataVerb},
};

}  // namespace

std::span<const VerbEntry> AllVerbs() { return kVerbs; }

}  // namespace tuff::tools
