// InputFile and StopSignal: reads that a signal ends, whatever they wait for.
#include "tools/input_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tools/stop_signal.h"

namespace tuff::tools {
namespace {

/// A FIFO that has a writer, so that reading from it waits.
class InputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "tuff_input_file_test." + std::to_string(getpid());
    ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
    writer_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(writer_, 0);
    Result<std::unique_ptr<InputFile>> input = InputFile::Open(path_);
    ASSERT_TRUE(input.ok()) << input.status().message();
    input_ = *std::move(input);
  }
  void TearDown() override {
    close(writer_);
    unlink(path_.c_str());
  }

  std::string path_;
  int writer_ = -1;
  std::unique_ptr<InputFile> input_;
  char buffer_[16] = {};
};

TEST_F(InputFileTest, ReadsWhatIsThere) {
  const StopSignal stop;
  input_->StopOn(&stop);
  ASSERT_EQ(write(writer_, "abc", 3), 3);
  Result<size_t> got = input_->Read(buffer_, sizeof(buffer_));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::string(buffer_, *got), "abc");
  EXPECT_EQ(input_->bytes_read(), 3u);
  EXPECT_FALSE(input_->stopped());
  EXPECT_FALSE(input_->size_bytes().has_value());
}

TEST_F(InputFileTest, DoesNotReadAfterAStop) {
  const StopSignal stop;
  input_->StopOn(&stop);
  ASSERT_EQ(write(writer_, "abc", 3), 3);
  raise(SIGTERM);
  EXPECT_EQ(stop.signal_number(), SIGTERM);
  EXPECT_FALSE(input_->Read(buffer_, sizeof(buffer_)).ok());
  EXPECT_TRUE(input_->stopped());
}

TEST_F(InputFileTest, IsStoppedByASignalThatAnotherThreadGets) {
  const StopSignal stop;
  input_->StopOn(&stop);
  std::atomic<bool> done = false;
  // The reading thread does not get the signal, so it is the pipe that must wake it.
  std::thread other([&] {
    raise(SIGINT);  // to this thread
    // Lets a reader that was not woken end all the same, and the test fail.
    for (int i = 0; i < 1000 && !done; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (!done) {
      EXPECT_EQ(write(writer_, "x", 1), 1);
    }
  });
  Result<size_t> got = input_->Read(buffer_, sizeof(buffer_));
  done = true;
  other.join();
  EXPECT_FALSE(got.ok());
  EXPECT_TRUE(input_->stopped());
}

TEST(StopSignal, LeavesIgnoredSignalsIgnoredAndRestoresTheRest) {
  signal(SIGHUP, SIG_IGN);
  {
    const StopSignal stop;
    raise(SIGHUP);
    EXPECT_FALSE(stop.requested());
    raise(SIGINT);
    EXPECT_TRUE(stop.requested());
    struct sigaction now = {};
    sigaction(SIGINT, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);  // a second one kills
  }
  struct sigaction now = {};
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
  sigaction(SIGHUP, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_IGN);
  signal(SIGHUP, SIG_DFL);
  const StopSignal again;
  EXPECT_FALSE(again.requested());  // each begins afresh
}

TEST(InputFile, SaysWhatCannotBeRead) {
  Result<std::unique_ptr<InputFile>> input = InputFile::Open(testing::TempDir());
  EXPECT_EQ(input.status().code(), Code::kInvalidArgument);
  input = InputFile::Open(testing::TempDir() + "no such file");
  EXPECT_EQ(input.status().code(), Code::kNotFound);
  EXPECT_NE(input.status().message().find("no such file"), std::string::npos);
}

}  // namespace
}  // namespace tuff::tools
