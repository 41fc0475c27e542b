// Every way in which opening and creating a pool can fail because of its file: what it is, who may
// use it, who holds it. Damage: open_damage_test.cc. Space: open_space_test.cc. After a crash:
// open_read_only_test.cc.
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>

#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

const OpenOptions kReadOnly = ReadOnly();
const OpenOptions kWritable = Writable();

class OpenTest : public testing::Test {
 protected:
  std::string path() const { return dir_.File("pool"); }

  void MakePool(const CreateOptions& options = SmallPool()) {
    auto pool = Pool::Create(path(), options);
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("store");
    ASSERT_OK(store);
    ASSERT_OK((*store)->Put("key", "value"));
    ASSERT_OK((*pool)->Close());
  }
  void MakeFile(const std::string& content) { std::ofstream(path(), std::ios::binary) << content; }
  // Opens, and looks whether the record is there.
  static void ExpectUsable(const std::string& at, const OpenOptions& options = kWritable) {
    auto pool = Pool::Open(at, options);
    ASSERT_OK(pool);
    auto store = (*pool)->OpenStore("store");
    ASSERT_OK(store);
    std::string value;
    EXPECT_OK((*store)->Get("key", &value));
    EXPECT_EQ(value, "value");
  }
  // For another user: everybody may look into the directory.
  void OpenDirectory() { ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0); }

  TempDir dir_;
};

TEST_F(OpenTest, MissingFile) {
  EXPECT_CODE(Pool::Open(path(), kWritable), Code::kNotFound);
  EXPECT_CODE(Pool::Open(path(), kReadOnly), Code::kNotFound);
  EXPECT_CODE(Pool::Open(dir_.File("no/such/dir"), kWritable), Code::kNotFound);
}

TEST_F(OpenTest, NotAPool) {
  for (const std::string& content :
       {std::string(), std::string("short"), std::string(kPoolSizeMin, '\0'),
        Random(1).Bytes(kPoolSizeMin), std::string("tuffpool")}) {
    MakeFile(content);
    EXPECT_CODE(Pool::Open(path(), kWritable), Code::kCorruption);
    EXPECT_CODE(Pool::Open(path(), kReadOnly), Code::kCorruption);
    EXPECT_TRUE(Contains(Pool::Open(path(), kWritable).status(), "not a tuff pool"));
    EXPECT_EQ(ReadWholeFile(path()), content) << "opening changed it";
  }
}

TEST_F(OpenTest, Directory) {
  EXPECT_CODE(Pool::Open(dir_.path(), kWritable), Code::kInvalidArgument);
  EXPECT_CODE(Pool::Open(dir_.path(), kReadOnly), Code::kInvalidArgument);
}

TEST_F(OpenTest, SymbolicLinks) {
  MakePool();
  std::filesystem::create_symlink("pool", dir_.File("link"));
  ExpectUsable(dir_.File("link"));
  ExpectUsable(dir_.File("link"), kReadOnly);
  std::filesystem::create_symlink("nowhere", dir_.File("dangling"));
  EXPECT_CODE(Pool::Open(dir_.File("dangling"), kWritable), Code::kNotFound);
  std::filesystem::create_symlink("loop", dir_.File("loop"));
  EXPECT_CODE(Pool::Open(dir_.File("loop"), kWritable), Code::kInvalidArgument);
  // Creating through a link that dangles would make a file elsewhere.
  EXPECT_CODE(Pool::Create(dir_.File("dangling"), SmallPool()), Code::kExists);
}

TEST_F(OpenTest, FifoAndSocket) {
  ASSERT_EQ(mkfifo(dir_.File("fifo").c_str(), 0666), 0);
  EXPECT_CODE(Pool::Open(dir_.File("fifo"), kWritable), Code::kInvalidArgument);
  EXPECT_CODE(Pool::Open(dir_.File("fifo"), kReadOnly), Code::kInvalidArgument);  // must not wait
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir_.File("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_CODE(Pool::Open(dir_.File("socket"), kWritable), Code::kInvalidArgument);
  const Status device = Pool::Open("/dev/null", kWritable).status();
  EXPECT_CODE(device, Code::kInvalidArgument);
  EXPECT_EQ(device.message(), "/dev/null: neither a regular file nor a devdax device");
  close(fd);
}

TEST_F(OpenTest, NoPermission) {
  MakePool();
  OpenDirectory();
  const auto as_nobody = [](const std::function<void()>& body) {
    return RunInChild([&] {
      if (geteuid() == 0) {
        ASSERT_EQ(setgid(65534), 0);
        ASSERT_EQ(setuid(65534), 0);
      }
      body();
    });
  };
  ASSERT_EQ(chmod(path().c_str(), 0), 0);
  EXPECT_EQ(as_nobody([&] {
              EXPECT_CODE(Pool::Open(path(), kWritable), Code::kPermission);
              EXPECT_CODE(Pool::Open(path(), kReadOnly), Code::kPermission);
            }),
            0);
  ASSERT_EQ(chmod(path().c_str(), 0444), 0);
  EXPECT_EQ(as_nobody([&] {
              EXPECT_CODE(Pool::Open(path(), kWritable), Code::kPermission);
              ExpectUsable(path(), kReadOnly);
            }),
            0);
  ASSERT_EQ(chmod(dir_.path().c_str(), 0555), 0);
  EXPECT_EQ(as_nobody([&] {
              EXPECT_CODE(Pool::Create(dir_.File("new"), SmallPool()), Code::kPermission);
            }),
            0);
  ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
}

TEST_F(OpenTest, LockedByAnotherProcess) {
  MakePool();
  int ready[2];
  int finish[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(finish), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(finish[1]);
    auto pool = Pool::Open(path(), kWritable);
    char byte = pool.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(2);
    while (read(finish[0], &byte, 1) > 0) {
    }
    _exit(0);  // as if killed: the pool stays unclean
  }
  close(finish[0]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  std::string comm = ReadWholeFile("/proc/self/comm");
  comm.pop_back();
  for (const OpenOptions& options : {kWritable, kReadOnly}) {
    auto pool = Pool::Open(path(), options);
    EXPECT_CODE(pool, Code::kLocked);
    EXPECT_TRUE(Contains(pool.status(), "process " + std::to_string(child) + " (" + comm + ")"))
        << pool.status().ToString();
  }
  close(finish[1]);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);

  // The superblock still names the child, which is no more: a stale hint.
  const int fd = open(path().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  auto pool = Pool::Open(path(), kWritable);
  EXPECT_CODE(pool, Code::kLocked);
  EXPECT_TRUE(Contains(pool.status(), "another process")) << pool.status().ToString();
  EXPECT_FALSE(Contains(pool.status(), std::to_string(child)));
  // Nor is a live process named that had the pool in an earlier boot.
  EditSuperblocks(path(), [](Superblock& sb) {
    sb.writer_pid = static_cast<uint32_t>(getpid());
    sb.boot_id[0] ^= 1;
  });
  pool = Pool::Open(path(), kWritable);
  EXPECT_CODE(pool, Code::kLocked);
  EXPECT_FALSE(Contains(pool.status(), std::to_string(getpid()))) << pool.status().ToString();
  close(fd);

  ExpectUsable(path(), kReadOnly);  // recovered in memory
  ExpectUsable(path());
  ExpectUsable(path(), kReadOnly);
}

TEST_F(OpenTest, LockedWithinThisProcess) {
  MakePool();
  auto writer = Pool::Open(path(), kWritable);
  ASSERT_OK(writer);
  EXPECT_CODE(Pool::Open(path(), kWritable), Code::kLocked);
  EXPECT_CODE(Pool::Open(path(), kReadOnly), Code::kLocked);
  ASSERT_OK((*writer)->Close());
  ExpectUsable(path());
}

TEST_F(OpenTest, ReadersShareAndNeverWrite) {
  MakePool();
  const std::string before = ReadWholeFile(path());
  {
    auto first = Pool::Open(path(), kReadOnly);
    ASSERT_OK(first);
    ExpectUsable(path(), kReadOnly);
    EXPECT_CODE(Pool::Open(path(), kWritable), Code::kLocked);
    EXPECT_EQ((*first)->GetInfo().memmap, MemmapPlace::kDram);
    EXPECT_CODE((*first)->CreateStore("new"), Code::kReadOnly);
    EXPECT_CODE((*first)->RenameStore("store", "other"), Code::kReadOnly);
    auto store = (*first)->OpenStore("store");
    ASSERT_OK(store);
    EXPECT_CODE((*store)->Put("key", "x"), Code::kReadOnly);
    EXPECT_CODE((*store)->Delete("key"), Code::kReadOnly);
  }
  EXPECT_TRUE(ReadWholeFile(path()) == before);
}

TEST_F(OpenTest, CreateRefuses) {
  MakeFile("precious");
  EXPECT_CODE(Pool::Create(path(), SmallPool()), Code::kExists);
  EXPECT_EQ(ReadWholeFile(path()), "precious");
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{1}, kPoolSizeMin - 1, ~uint64_t{0}}) {
    EXPECT_CODE(Pool::Create(dir_.File("new"), SmallPool(bytes)), Code::kInvalidArgument);
  }
  CreateOptions options = SmallPool();
  options.open.read_only = true;
  EXPECT_CODE(Pool::Create(dir_.File("new"), options), Code::kInvalidArgument);
  EXPECT_CODE(Pool::Create(dir_.File("no/dir/new"), SmallPool()), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(dir_.File("new")));
}

TEST_F(OpenTest, CreateSetsMode) {
  const mode_t umask_before = umask(077);
  CreateOptions options = SmallPool();
  options.mode = 0660;
  EXPECT_OK(Pool::Create(dir_.File("exact"), options));
  umask(027);
  EXPECT_OK(Pool::Create(dir_.File("masked"), SmallPool()));
  umask(umask_before);
  struct stat st {};
  ASSERT_EQ(stat(dir_.File("exact").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0660u);
  ASSERT_EQ(stat(dir_.File("masked").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
}

TEST_F(OpenTest, CreateRoundsDownAndFills) {
  CreateOptions options = SmallPool(kPoolSizeMin + (3 << 20));
  options.sparse = false;
  auto pool = Pool::Create(path(), options);
  ASSERT_OK(pool);
  EXPECT_EQ((*pool)->GetInfo().size_bytes, kPoolSizeMin + (2 << 20));
  struct stat st {};
  ASSERT_EQ(stat(path().c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), kPoolSizeMin + (2 << 20));
  EXPECT_GE(static_cast<uint64_t>(st.st_blocks) * 512, kPoolSizeMin + (2 << 20));
}

TEST_F(OpenTest, GuardThatIsNotThere) {
  CreateOptions options = SmallPool();
  options.open.guard = Guard::kPkey;
  auto pool = Pool::Create(path(), options);
  if (pool.ok()) GTEST_SKIP() << "this machine has protection keys";
  EXPECT_CODE(pool, Code::kNotSupported);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(OpenTest, CloseWhileInUse) {
  MakePool();
  auto pool = Pool::Open(path(), kWritable);
  ASSERT_OK(pool);
  auto store = (*pool)->OpenStore("store");
  ASSERT_OK(store);
  auto iterator = (*store)->NewIterator();
  iterator->SeekToFirst();
  auto pinned = (*store)->GetPinned("key");
  ASSERT_OK(pinned);
  Status s = (*pool)->Close();
  EXPECT_CODE(s, Code::kBusy);
  EXPECT_TRUE(Contains(s, "1 iterator of 'store', 1 pinned value of 'store'")) << s.ToString();
  iterator.reset();
  s = (*pool)->Close();
  EXPECT_CODE(s, Code::kBusy);
  EXPECT_TRUE(Contains(s, "alive: 1 pinned value of 'store'")) << s.ToString();
  EXPECT_OK((*store)->Put("key", "still usable"));
  EXPECT_EQ(pinned->view(), "value");
  pinned->Reset();
  EXPECT_OK((*pool)->Close());
  EXPECT_OK((*pool)->Close());  // again: nothing to do
}

}  // namespace
}  // namespace tuff::test
