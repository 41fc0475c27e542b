#include "tests/crash/oracle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "pagemap/checksum.h"

namespace tuff::test {
namespace {

uint64_t Dice(unsigned thread, unsigned key, uint64_t version) {
  return Mix64(version * 1000003 + key * 101 + thread);
}

}  // namespace

Oracle::Oracle(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(Map)) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  void* const mapped = mmap(nullptr, sizeof(Map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) {
    std::perror(path.c_str());
    std::abort();
  }
  map_ = static_cast<Map*>(mapped);
}

Oracle::~Oracle() { munmap(map_, sizeof(Map)); }

// Two threads share each store, so that they meet in leaves.
std::string Oracle::StoreName(unsigned thread) { return fmt::format("store{}", thread / 2); }

std::string Oracle::Key(unsigned thread, unsigned key) {
  return fmt::format("key{:05}-{}", key, thread);
}

bool Oracle::IsGone(unsigned thread, unsigned key, uint64_t version) {
  if (version == 0) return true;
  // In turns few and many deletes, so that the tree grows and shrinks.
  return Dice(thread, key, version) % 8 < (version / 8 % 2 == 0 ? 1 : 6);
}

std::string Oracle::Value(unsigned thread, unsigned key, uint64_t version) {
  const uint64_t dice = Dice(thread, key, version) >> 8;
  const size_t bytes = dice % 64 == 0 ? 3000 : dice % 8 == 0 ? 700 : dice % 100;
  return fmt::format("{}.{}.{}:", thread, key, version) +
         std::string(bytes, static_cast<char>('a' + dice % 26));
}

std::string Oracle::Settle(Pool& pool) {
  auto contents = ReadContents(pool);
  if (!contents.ok()) return contents.status().ToString();
  size_t there = 0;
  for (unsigned thread = 0; thread < kThreads; thread++) {
    there += contents->contains(StoreName(thread)) && thread % 2 == 0 ? 1 : 0;
    for (unsigned key = 0; key < kKeys; key++) {
      Slot& slot = At(thread, key);
      const uint64_t acknowledged = slot.acknowledged.load();
      const uint64_t intended = slot.intended.load();
      const auto found = contents->find(StoreName(thread) + "/" + Key(thread, key));
      const bool is_there = found != contents->end();
      there += is_there ? 1 : 0;
      const auto is_version = [&](uint64_t version) {
        return IsGone(thread, key, version)
                   ? !is_there
                   : is_there && found->second == Value(thread, key, version);
      };
      if (is_version(intended)) {
        slot.acknowledged.store(intended);
      } else if (is_version(acknowledged)) {
        slot.intended.store(acknowledged);
      } else {
        return fmt::format("{}: acknowledged {}, intended {}, found '{}'", Key(thread, key),
                           acknowledged, intended,
                           is_there ? found->second.substr(0, 40) : "nothing");
      }
    }
  }
  if (there != contents->size()) return "there are records that nobody has written";
  return "";
}

}  // namespace tuff::test
