#include "tests/crash/script.h"

#include <fmt/format.h>

#include <thread>

namespace tuff::test {
namespace {

Operation EnsureStoreOp(const std::string& store) {
  Operation operation = CreateStoreOp(store);
  operation.run = [=](Session& session) { return session.pool->OpenOrCreateStore(store).status(); };
  return operation;
}

Operation ReadOp(std::shared_ptr<Contents> to) {
  Operation operation;
  operation.name = "read all";
  operation.run = [=](Session& session) -> Status {
    auto contents = ReadContents(*session.pool);
    if (!contents.ok()) return contents.TakeStatus();
    *to = std::move(*contents);
    return Status();
  };
  return operation;
}

// The same from a thread that takes another lane than this one.
Operation ElsewhereOp(Operation operation) {
  operation.run = [run = operation.run](Session& session) {
    Status s;
    std::thread([&] { s = run(session); }).join();
    return s;
  };
  return operation;
}

// A store and a key of it that the crash is likely to have to do with.
std::pair<std::string, std::string> Touched(const std::vector<Contents>& legal) {
  const auto split = [](const std::string& name) {
    const size_t slash = name.find('/');
    return slash == name.npos ? std::pair(name, std::string("key"))
                              : std::pair(name.substr(0, slash), name.substr(slash + 1));
  };
  for (const auto& [name, value] : legal.back()) {
    const auto before = legal.front().find(name);
    if (before == legal.front().end() || before->second != value) return split(name);
  }
  for (const auto& [name, value] : legal.front()) {
    if (!legal.back().contains(name)) return split(name);
  }
  return legal.front().empty() ? std::pair<std::string, std::string>("afterwards", "key")
                               : split(legal.front().rbegin()->first);
}

}  // namespace

Script MakeScript(unsigned number, const std::vector<Contents>& legal) {
  const auto [store, key] = Touched(legal);
  Script script;
  Operations& operations = script.operations;
  const auto add = [&](Operation operation) { operations.push_back(std::move(operation)); };
  const auto by = [&](Operation operation) {
    return number == 2 ? ElsewhereOp(std::move(operation)) : operation;
  };
  add(OpenOp());
  if (number == 1) {
    add(CloseOp());
    add(OpenOp());
  }
  if (number != 2) {
    script.reader = operations.size();
    add(ReadOp(script.read));
  }
  add(by(EnsureStoreOp(store)));
  add(by(PutOp(store, key, "written after the crash")));
  if (number != 1) {
    // As many as it takes to restructure the leaf.
    for (int i = 0; i < 14; i++) {
      add(ElsewhereOp(PutOp(store, key, fmt::format("elsewhere {}", i))));
    }
    add(by(DeleteOp(store, key)));
    // In one leaf or several.
    add(by(BatchOp({{store, "!", "batch"}, {store, key, "too"}, {store, "~", ""}})));
    add(WaitOp());
  }
  add(CloseOp());
  return script;
}

}  // namespace tuff::test
