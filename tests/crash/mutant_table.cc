// What became of every step that can be left out, and the test that each is listed.
#include <fmt/format.h>

#include <map>
#include <set>

#include "tests/crash/mutant_lab.h"

namespace tuff::test {
namespace {

// Steps without which nothing goes wrong that these tests could see, and why.
const std::map<std::string, std::string> kUnseen = {
    {"create.1", "devices only"},
    {"create.2", "devices only"},
    {"create.3", "devices only"},
    {"create.lanes", "devices only"},
    {"create.tables", "devices only"},
    {"create.6", "before Create returns there may as well be no pool"},
    {"batch.1", "batch.2 flushes the same line: a chunk's bytes begin in that of its head"},
    {"batch.order", "its number is pending until the fence is over: nobody is shown its records"},
    {"anchor.1", "times only, which the tests do not compare"},
    {"anchor.2", "times only, which the tests do not compare"},
    {"object.9", "the entry may live on: finishing once more what is finished changes nothing"},
    {"recover.1", "an entry is durable before anything that it could undo is stored"},
    {"recover.3", "recover.8 makes the same durable before the entry is retired"},
    {"tail.6", "what is torn stays torn behind the next record, and is cut again"},
    {"tail.7", "as tail.6"},
    {"tail.zero", "as tail.6"},
    {"redo.inline", "lane.inline has seen it: the list fits the lane"},
    {"redo.max", "no list is that long; a hostile one would take memory, and be replayed"},
    {"node.children", "that is 2^64 - 1 separators, and inner.order finds one out of order"},
    {"node.frames", "node.owner sees an order that is not the run's"},
    {"node.owner", "a latch finds the node not in use; led to it twice, its taker calls it damage"},
    {"node.parts", "a view keeps to the node's run, and node.checksum sees that it is cut short"},
    {"node.object", "child.object: Tree::Visit looks at it each time"},
    {"leaf.fences", "a miss looks whether the leaf is of the key's range"},
    {"inner.fences", "as leaf.fences: what it leads to is of another range"},
    {"base.record", "base.whole sees the same at the end of what has read all records"},
    {"patch.1", "Interrupted.ByAPowerFailure mixes a repair's pages in any way, and repairs again"},
    {"patch.3", "as patch.1"},
    {"gate.seen",
     "the mark stands before the gate is looked at: this orders the two on a processor "
     "that does not"},
};

std::set<std::string>& Listed() {
  static std::set<std::string> listed;
  return listed;
}

const char* NameOf(StepKind kind) {
  static constexpr const char* kNames[] = {"",      "",       "flush", "fence",
                                           "check", "retire", "zero",  "order"};
  return kNames[static_cast<size_t>(kind)];
}

std::map<std::string, StepKind> StepsThatCanBeLeftOut() {
  std::map<std::string, StepKind> steps;
  for (const Step* step : AllSteps()) {
    if (*NameOf(step->kind) != '\0') steps[step->id] = step->kind;
  }
  return steps;
}

class Table : public ::testing::Environment {
 public:
  void Add(const std::string& id, const std::string& found) { found_[id] += found; }

  void TearDown() override {
    if (found_.empty()) return;
    fmt::print("\n");
    for (const auto& [id, kind] : StepsThatCanBeLeftOut()) {
      const auto unseen = kUnseen.find(id);
      const auto found = found_.find(id);
      const std::string what = found != found_.end()     ? "killed by" + found->second
                               : unseen != kUnseen.end() ? "not seen: " + unseen->second
                                                         : "not run";
      fmt::print("{:<16} {:<6} {}\n", id, NameOf(kind), what);
    }
    (void)std::fflush(stdout);
  }

 private:
  std::map<std::string, std::string> found_;
};

Table* const table = static_cast<Table*>(::testing::AddGlobalTestEnvironment(new Table));

TEST(MutantListTest, EveryStepThatCanBeLeftOutIsThere) {
  std::set<std::string> listed = Listed();
  for (const auto& [id, why] : kUnseen) {
    EXPECT_FALSE(listed.contains(id)) << id << " is killed, and said not to be";
    listed.insert(id);
  }
  std::set<std::string> known;
  for (const auto& [id, kind] : StepsThatCanBeLeftOut()) known.insert(id);
  EXPECT_EQ(listed, known);
}

}  // namespace

void NoteKilled(const std::string& id, const std::string& by) { table->Add(id, by); }

bool ListMutants(const std::vector<std::string>& ids) {
  Listed().insert(ids.begin(), ids.end());
  return true;
}

}  // namespace tuff::test
