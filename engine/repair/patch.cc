#include "engine/repair/patch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/repair/undo_format.h"
#include "pagemap/checksum.h"
#include "pagemap/pool_file.h"

namespace tuff {
namespace {

constexpr char kMagic[8] = {'t', 'u', 'f', 'f', 'u', 'n', 'd', 'o'};
constexpr uint32_t kVersion = 1;

struct Page {
  uint64_t offset;
  const std::byte* bytes;  // that it is to have
};

uint64_t HeaderChecksum(const UndoHeader& header) {
  constexpr size_t kFrom = offsetof(UndoHeader, version);
  return Checksum64(reinterpret_cast<const std::byte*>(&header) + kFrom, sizeof header - kFrom, 0);
}

Status WriteAll(int fd, const std::string& path, const void* from, size_t n) {
  const char* at = static_cast<const char*>(from);
  while (n > 0) {
    const ssize_t written = write(fd, at, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return ErrnoStatus(written < 0 ? errno : ENOSPC, "cannot write", path);
    at += written;
    n -= static_cast<size_t>(written);
  }
  return Status();
}

Status ReadAll(int fd, const std::string& path, void* to, size_t n) {
  char* at = static_cast<char*>(to);
  while (n > 0) {
    const ssize_t got = read(fd, at, n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read", path);
    if (got == 0) {
      return Status(Code::kCorruption, fmt::format("{}: the undo file has lost its end", path));
    }
    at += got;
    n -= static_cast<size_t>(got);
  }
  return Status();
}

Result<std::unique_ptr<PersistDomain>> MapForWriting(int fd, const std::string& path,
                                                     uint64_t bytes) {
  auto medium = Medium::Map(fd, path, bytes, {false, std::nullopt, false});
  if (!medium.ok()) return medium.TakeStatus();
  return std::make_unique<PersistDomain>(std::move(*medium), nullptr);
}

// True if no owner word gives the frame to anybody.
bool IsFree(const std::byte* base, Pfn pfn) {
  for (unsigned order = 0; order <= kOrderMax; order++) {
    const Pfn head = pfn >> order << order;
    if (IsReserved(head)) return true;
    const uint64_t word = Load64(base + OwnerWordOffset(head));
    if (word != 0 && (!OwnerIsValid(head, word) || UnpackOwner(word).order >= order)) return false;
  }
  return true;
}

// In which order pages change: new nodes; the frame tables' words for them; what refers to them;
// the words of what is free now; lanes, whose changes have been finished or undone by then; and
// what tells whether to believe it all, last.
enum Turn { kNewNodes, kNewOwners, kWords, kOldOwners, kLanesEmpty, kFirstCopy, kSecondCopy };

Turn TurnOf(const std::byte* base, const Page& page, Pfn first_superblock) {
  const Pfn pfn = page.offset >> kFrameShift;
  if (pfn <= kMirrorPfn) return pfn == first_superblock ? kFirstCopy : kSecondCopy;
  if (pfn == kCatalogueAnchorPfn) return kWords;
  if (pfn >= kLanesPfn && pfn < kLanesPfn + kLanes) return kLanesEmpty;
  if (IsReserved(pfn)) return kOldOwners;
  return IsFree(base, pfn) ? kNewNodes : kWords;
}

// Both what a frame table's page gives to somebody now and what it has given before.
std::vector<std::byte> MergedTable(const std::byte* before, const std::byte* after, size_t bytes) {
  std::vector<std::byte> merged(after, after + bytes);
  for (size_t at = 0; at < bytes; at += 8) {
    if (Load64(after + at) == 0) std::memcpy(merged.data() + at, before + at, 8);
  }
  return merged;
}

// So that a full disk is met before the first change.
Status ReservePages(const PersistDomain& domain, const std::vector<Page>& pages,
                    uint64_t page_bytes) {
  for (const Page& page : pages) {
    if (Status s = domain.medium().Reserve(page.offset, page_bytes); !s.ok()) return s;
  }
  return Status();
}

Status SetLength(int fd, const std::string& path, uint64_t bytes) {
  const auto set = [&] { return ftruncate(fd, static_cast<off_t>(bytes)); };
  if (Uninterrupted(set) != 0) return ErrnoStatus(errno, "cannot set the length", path);
  if (Uninterrupted([&] { return fsync(fd); }) != 0) return ErrnoStatus(errno, "fsync", path);
  return Status();
}

Status WritePages(PersistDomain& domain, const std::vector<Page>& pages, uint64_t page_bytes,
                  Pfn first_superblock) {
  std::vector<Turn> turns;
  for (const Page& page : pages) turns.push_back(TurnOf(domain.base(), page, first_superblock));
  for (int turn = kNewNodes; turn <= kSecondCopy; turn++) {
    const int whose = turn == kNewOwners ? kOldOwners : turn;
    if (std::find(turns.begin(), turns.end(), whose) == turns.end()) continue;
    WriteWindow window(domain);
    for (size_t i = 0; i < pages.size(); i++) {
      const Page& page = pages[i];
      if (turns[i] != whose) continue;
      if (turn == kNewOwners) {
        const auto merged = MergedTable(domain.base() + page.offset, page.bytes, page_bytes);
        window.Store(page.offset, merged.data(), page_bytes);
      } else {
        window.Store(page.offset, page.bytes, page_bytes);
      }
      TUFF_FLUSH("patch.1", window, page.offset, page_bytes);
      CRASH_POINT("patch.2");
    }
    if (Status s = TUFF_FENCE("patch.3", window); !s.ok()) return s;
    CRASH_POINT("patch.4");
  }
  return Status();
}

Status WriteUndo(int fd, const std::string& path, const PoolImage& image, const Medium& before,
                 const std::vector<Page>& pages) {
  const uint64_t page_bytes = before.page_size();
  UndoHeader header{};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  header.version = kVersion;
  header.page_bytes = static_cast<uint32_t>(page_bytes);
  header.pages = pages.size();
  header.file_bytes = image.file_bytes();
  header.file_bytes_after = std::max(image.file_bytes(), before.bytes());
  header.checksum = HeaderChecksum(header);
  if (Status s = WriteAll(fd, path, &header, sizeof header); !s.ok()) return s;
  for (const Page& page : pages) {
    const std::byte* const bytes = before.base() + page.offset;
    const UndoPage undo{page.offset, Checksum64(bytes, page_bytes, page.offset),
                        Checksum64(page.bytes, page_bytes, page.offset)};
    if (Status s = WriteAll(fd, path, &undo, sizeof undo); !s.ok()) return s;
    if (Status s = WriteAll(fd, path, bytes, page_bytes); !s.ok()) return s;
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, "fsync", path);
  return SyncDirectoryOf(path);
}

Status MakeUndo(const std::string& path, const PoolImage& image, const Medium& before,
                const std::vector<Page>& pages) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0 && errno == EEXIST) {
    return Status(Code::kExists,
                  fmt::format("the undo file {} is there already, perhaps of an "
                              "earlier repair; name another one; nothing was changed",
                              path));
  }
  if (file.get() < 0) return ErrnoStatus(errno, "cannot make the undo file", path);
  Status s = WriteUndo(file.get(), path, image, before, pages);
  if (!s.ok()) unlink(path.c_str());
  return s;
}

// The whole file, checked: pages whose bytes lie in `bytes`.
Status ReadUndo(const std::string& path, UndoHeader* header, std::vector<UndoPage>* undo,
                std::vector<std::byte>* bytes) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus(errno, "cannot open the undo file", path);
  struct stat st {};
  if (fstat(file.get(), &st) != 0) return ErrnoStatus(errno, "cannot stat", path);
  const auto damaged = [&](const char* what) {
    return Status(Code::kCorruption, fmt::format("{}: {}; nothing was changed", path, what));
  };
  if (Status s = ReadAll(file.get(), path, header, sizeof *header); !s.ok()) return s;
  if (std::memcmp(header->magic, kMagic, sizeof kMagic) != 0) return damaged("not an undo file");
  const bool sane = header->checksum == HeaderChecksum(*header) && header->version == kVersion &&
                    header->page_bytes >= kFrameSize && header->page_bytes % kFrameSize == 0 &&
                    header->file_bytes <= header->file_bytes_after;
  const uint64_t each = sizeof(UndoPage) + header->page_bytes;
  if (!sane || header->pages != (static_cast<uint64_t>(st.st_size) - sizeof *header) / each) {
    return damaged("the undo file is damaged");
  }
  undo->resize(header->pages);
  bytes->resize(header->pages * header->page_bytes);
  for (size_t i = 0; i < undo->size(); i++) {
    UndoPage& page = (*undo)[i];
    std::byte* const to = bytes->data() + i * header->page_bytes;
    if (Status s = ReadAll(file.get(), path, &page, sizeof page); !s.ok()) return s;
    if (Status s = ReadAll(file.get(), path, to, header->page_bytes); !s.ok()) return s;
    if (page.checksum_before != Checksum64(to, header->page_bytes, page.offset) ||
        page.offset % header->page_bytes != 0 || page.offset >= header->file_bytes_after) {
      return damaged("a page of the undo file is damaged");
    }
  }
  return Status();
}

}  // namespace

Result<uint64_t> CommitRepair(PoolImage& image, const std::string& undo_path) {
  const Medium& overlay = image.domain().medium();
  Medium::Options as_it_was;
  as_it_was.read_only = true;
  as_it_was.reserve = false;
  as_it_was.padded_bytes = overlay.bytes();
  const uint64_t file_bytes = image.file_bytes();
  auto before =
      Medium::Map(image.fd(), image.path(),
                  std::min(overlay.bytes(), file_bytes / kFrameSize * kFrameSize), as_it_was);
  if (!before.ok()) return before.TakeStatus();
  const uint64_t page_bytes = overlay.page_size();
  std::vector<Page> pages;
  for (const uint64_t offset : overlay.private_pages()) {
    const std::byte* const bytes = overlay.base() + offset;
    if (std::memcmp(bytes, (*before)->base() + offset, page_bytes) == 0) continue;
    pages.push_back({offset, bytes});
  }
  if (pages.empty()) return uint64_t{0};
  if (!undo_path.empty()) {
    if (Status s = MakeUndo(undo_path, image, **before, pages); !s.ok()) return s;
  }
  const bool grows = overlay.bytes() > file_bytes;
  std::unique_ptr<PersistDomain> domain;
  const auto prepare = [&]() -> Status {
    if (grows) {
      if (Status s = SetLength(image.fd(), image.path(), overlay.bytes()); !s.ok()) return s;
      CRASH_POINT("patch.5");
    }
    auto mapped = MapForWriting(image.fd(), image.path(), overlay.bytes());
    if (!mapped.ok()) return mapped.TakeStatus();
    domain = std::move(*mapped);
    return ReservePages(*domain, pages, page_bytes);
  };
  Status s = prepare();
  if (!s.ok()) {
    const bool unchanged = !grows || SetLength(image.fd(), image.path(), file_bytes).ok();
    if (unchanged && !undo_path.empty()) unlink(undo_path.c_str());
    return s;
  }
  s = WritePages(*domain, pages, page_bytes, image.best_copy() == 0 ? kMirrorPfn : 0);
  if (!s.ok()) return s;
  return uint64_t{pages.size()};
}

Result<uint64_t> RevertRepair(const std::string& path, const std::string& undo_path) {
  UndoHeader header;
  std::vector<UndoPage> undo;
  std::vector<std::byte> bytes;
  if (Status s = ReadUndo(undo_path, &header, &undo, &bytes); !s.ok()) return s;
  auto file = OpenPoolFile(path, false);
  if (!file.ok()) return file.TakeStatus();
  auto size = Medium::SizeOf(file->get(), path);
  if (!size.ok()) return size.TakeStatus();
  const auto other = [&](const std::string& what) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: {} {}; nothing was changed", undo_path, what, path));
  };
  if (*size != header.file_bytes && *size != header.file_bytes_after) {
    return other("does not belong to");
  }
  auto domain = MapForWriting(file->get(), path, *size / kFrameSize * kFrameSize);
  if (!domain.ok()) return domain.TakeStatus();
  std::vector<Page> pages;
  size_t superblocks = 0;
  size_t superblocks_of_others = 0;  // of a mount since the repair; a torn one has a whole copy
  for (size_t i = 0; i < undo.size(); i++) {
    // It has not grown, or no more.
    if (undo[i].offset + header.page_bytes > (*domain)->medium().bytes()) continue;
    const std::byte* const now = (*domain)->base() + undo[i].offset;
    const uint64_t checksum = Checksum64(now, header.page_bytes, undo[i].offset);
    if (undo[i].offset <= OffsetOf(kMirrorPfn)) {
      superblocks++;
      superblocks_of_others +=
          checksum != undo[i].checksum_before && checksum != undo[i].checksum_after ? 1 : 0;
    }
    if (checksum == undo[i].checksum_before) continue;
    pages.push_back({undo[i].offset, bytes.data() + i * header.page_bytes});
  }
  if (superblocks > 0 && superblocks == superblocks_of_others) {
    return other("is of an earlier state of");
  }
  if (Status s = ReservePages(**domain, pages, header.page_bytes); !s.ok()) return s;
  if (Status s = WritePages(**domain, pages, header.page_bytes, 0); !s.ok()) return s;
  if (*size != header.file_bytes) {
    CRASH_POINT("patch.6");
    if (Status s = SetLength(file->get(), path, header.file_bytes); !s.ok()) return s;
  }
  return uint64_t{pages.size()};
}

}  // namespace tuff
