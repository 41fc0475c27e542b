// Verb: one subcommand of `tuff`, one file each (verb_NAME.cc), listed in verbs.cc.
// Ownership: main makes one verb, lets it declare its command line, and runs it once.
// Thread-safety: none.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/exit_code.h"
#include "tools/output.h"

namespace tuff::tools {

/// What a running verb speaks to. Both outlive it.
struct Context {
  Console* console;
  Output* output;  // flushed, and checked, by main
};

class Verb {
 public:
  virtual ~Verb() = default;
  /// The command borrows the verb's members.
  virtual void Declare(Command* command) = 0;
  virtual Outcome Run(const Context& context) = 0;
  virtual int usage_exit_code() const { return kExitUsage; }
};

struct VerbEntry {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Verb> (*make)();
};

/// In the order in which the help lists them.
std::span<const VerbEntry> AllVerbs();

std::unique_ptr<Verb> MakeCreateVerb();
std::unique_ptr<Verb> MakeInfoVerb();
std::unique_ptr<Verb> MakeInspectVerb();
std::unique_ptr<Verb> MakePutVerb();
std::unique_ptr<Verb> MakeGetVerb();
std::unique_ptr<Verb> MakeDeleteVerb();
std::unique_ptr<Verb> MakeScanVerb();
std::unique_ptr<Verb> MakeLoadVerb();
std::unique_ptr<Verb> MakeDumpVerb();
std::unique_ptr<Verb> MakeStoresVerb();
std::unique_ptr<Verb> MakeRenameVerb();
std::unique_ptr<Verb> MakeBatchVerb();
std::unique_ptr<Verb> MakeCountVerb();
std::unique_ptr<Verb> MakeDropVerb();
std::unique_ptr<Verb> MakeStatsVerb();
std::unique_ptr<Verb> MakeFsckVerb();
std::unique_ptr<Verb> MakeScrubVerb();
std::unique_ptr<Verb> MakeSalvageVerb();
std::unique_ptr<Verb> MakeDumpMetadataVerb();
std::unique_ptr<Verb> MakeRestoreMetadataVerb();

}  // namespace tuff::tools
