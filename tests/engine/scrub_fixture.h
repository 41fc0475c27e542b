// For tests of Pool::Scrub: a sound pool to damage, and scrubs of it, whole and in parts.
//
// Thread-safety: none.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>

#include "engine/repair/problems.h"
#include "tests/engine/check_fixture.h"
#include "tests/engine/holder.h"
#include "tuff/scrub.h"

namespace tuff::test {

inline std::string Describe(const ScrubResult& result) {
  std::string text = fmt::format("{} nodes, {} records\n", result.nodes, result.records);
  for (const ScrubProblem& problem : result.problems) {
    text += fmt::format("{} {} pfn {} object {} '{}': {}\n", problem.code, problem.name,
                        problem.pfn, problem.object_id, problem.store, problem.text);
  }
  return text;
}

inline ScrubResult Scrub(Pool& pool, const ScrubOptions& options = {}) {
  auto result = pool.Scrub(options);
  EXPECT_OK(result);
  return result.ok() ? std::move(*result) : ScrubResult();
}

// Goes on from where it has stopped, again and again; the sum of all parts.
inline ScrubResult ScrubToTheEnd(Pool& pool, ScrubOptions options) {
  ScrubResult sum;
  for (int part = 0; part < 10000; part++) {
    ScrubResult result = Scrub(pool, options);
    sum.nodes += result.nodes;
    sum.records += result.records;
    for (ScrubProblem& problem : result.problems) sum.problems.push_back(std::move(problem));
    EXPECT_EQ(result.finished, result.resume_token.empty());
    if (result.finished) return sum;
    for (const char c : result.resume_token) EXPECT_TRUE(c > ' ' && c <= '~');
    options.resume_from = result.resume_token;
  }
  ADD_FAILURE() << "it never ends";
  return sum;
}

// Stops after `nodes` nodes.
inline ScrubResult ScrubInParts(Pool& pool, uint64_t nodes) {
  ScrubOptions options;
  options.progress = [&](const ScrubProgress& progress) { return progress.nodes < nodes; };
  return ScrubToTheEnd(pool, options);
}

// Stops whenever it has asked `times` times.
inline ScrubResult ScrubByQuestions(Pool& pool, uint64_t times) {
  ScrubOptions options;
  uint64_t asked = 0;
  options.progress = [&](const ScrubProgress&) { return ++asked % times != 0; };
  return ScrubToTheEnd(pool, options);
}

class ScrubTest : public testing::Test, protected CheckedPool {
 protected:
  // Exactly one problem, of this code and place; in parts as well.
  void ExpectProblem(ProblemCode code, Pfn pfn, std::string_view store_name = "store") {
    ExpectProblems({{code, pfn}}, store_name);
  }
  void ExpectProblems(const std::set<std::pair<ProblemCode, Pfn>>& wanted,
                      std::string_view store_name = "store") {
    const ScrubResult result = Scrub(pool());
    EXPECT_TRUE(result.finished);
    for (const ScrubResult& found :
         {result, ScrubInParts(pool(), 1), ScrubByQuestions(pool(), 1)}) {
      std::set<std::pair<ProblemCode, Pfn>> seen;
      for (const ScrubProblem& problem : found.problems) {
        const auto code = static_cast<ProblemCode>(problem.code);
        EXPECT_EQ(problem.name, KindOf(code).name);
        EXPECT_EQ(problem.store, store_name);
        seen.emplace(code, problem.pfn);
      }
      EXPECT_TRUE(seen == wanted) << Describe(found);
      EXPECT_EQ(found.problems.size(), wanted.size()) << Describe(found);
    }
  }
  // Changes a byte and changes it back.
  void Flip(uint64_t offset) {
    Store8(offset, static_cast<uint8_t>(static_cast<uint8_t>(map().base()[offset]) ^ 0x10));
  }
};

}  // namespace tuff::test
