#include "tools/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tuff::tools {

Status SystemError(int error, const std::string& what) {
  Code code = Code::kIo;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM) code = Code::kPermission;
  return {code, fmt::format("{}: {}", what, std::generic_category().message(error))};
}

Result<std::unique_ptr<InputFile>> InputFile::Open(const std::string& path) {
  const bool is_stdin = path == "-";
  const int fd = is_stdin ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError(errno, path);
  std::unique_ptr<InputFile> file(new InputFile(fd, !is_stdin, is_stdin ? "standard input" : path));
  if (Status s = file->Prepare(); !s.ok()) return s;
  return file;
}

InputFile::~InputFile() {
  if (owned_) close(fd_);
}

Status InputFile::Prepare() {
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return SystemError(errno, name_);
  if (S_ISDIR(info.st_mode)) {
    return {Code::kInvalidArgument, fmt::format("{}: is a directory; name a file", name_)};
  }
  if (S_ISREG(info.st_mode)) {
    const off_t position = lseek(fd_, 0, SEEK_CUR);
    if (position >= 0 && position <= info.st_size) {
      size_bytes_ = static_cast<uint64_t>(info.st_size - position);
    }
  }
  return {};
}

Status InputFile::Wait() {
  // poll takes no notice of a descriptor of -1.
  pollfd fds[2] = {{fd_, POLLIN, 0}, {stop_ == nullptr ? -1 : stop_->fd(), POLLIN, 0}};
  while (stop_ == nullptr || !stop_->requested()) {
    const int ready = poll(fds, 2, -1);
    if (ready < 0 && errno != EINTR) return SystemError(errno, "cannot read");
    if (ready > 0 && fds[0].revents != 0) return {};
  }
  stopped_ = true;
  return {Code::kIo, "interrupted"};
}

Result<size_t> InputFile::Read(char* buffer, size_t size) {
  for (;;) {
    if (Status s = Wait(); !s.ok()) return s;
    const ssize_t got = read(fd_, buffer, size);
    if (got >= 0) {
      bytes_read_ += static_cast<uint64_t>(got);
      return static_cast<size_t>(got);
    }
    if (errno != EINTR && errno != EAGAIN) return SystemError(errno, "cannot read");
  }
}

}  // namespace tuff::tools
