// The registry of verbs.
#include "tools/verb.h"

namespace tuff::tools {
namespace {

constexpr VerbEntry kVerbs[] = {
    {"create", "make a new pool", MakeCreateVerb},
    {"info", "describe a pool", MakeInfoVerb},
    {"stores", "list the stores of a pool", MakeStoresVerb},
    {"rename", "give a store another name", MakeRenameVerb},
    {"put", "set a key to a value", MakePutVerb},
    {"get", "print the value of a key", MakeGetVerb},
    {"delete", "remove a key", MakeDeleteVerb},
    {"scan", "print keys and values in order, one record per line", MakeScanVerb},
    {"load", "put the records of a dump, or of lines of text, into a store", MakeLoadVerb},
    {"dump", "write a store in the portable format of db_dump and mdb_dump", MakeDumpVerb},
};

}  // namespace

std::span<const VerbEntry> AllVerbs() { return kVerbs; }

}  // namespace tuff::tools
