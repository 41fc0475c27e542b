#include "pagemap/page_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "pagemap/checksum.h"
#include "pagemap/pool_file.h"

namespace tuff {
namespace {

constexpr uint64_t kNumbersReserved = 1ull << 20;

// Enough for both superblocks; devdax maps whole 2 MiB only.
constexpr uint64_t kHeadBytes = OffsetOf(kBlockFrames);

void FillRandom(uint8_t* at, size_t n) {
  for (size_t i = 0; i < n; i += 8) {
    const uint64_t bits = Random64();
    std::memcpy(at + i, &bits, 8);
  }
}

// A version 4 UUID (RFC 9562).
void MakeUuid(uint8_t uuid[16]) {
  FillRandom(uuid, 16);
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
}

// On a device the tables hold whatever was there; a new file's are zero.
Status ZeroTables(PersistDomain& domain, uint64_t frames) {
  WriteWindow window(domain);
  if (TUFF_ZERO("create.lanes")) window.Zero(0, OffsetOf(kLanesPfn + kLanes));
  TUFF_FLUSH("create.1", window, 0, OffsetOf(kLanesPfn + kLanes));
  for (uint64_t section = 0; section < SectionsOf(frames); section++) {
    const uint64_t at = OffsetOf(FrameTablePfn(section));
    if (TUFF_ZERO("create.tables")) window.Zero(at, OffsetOf(kFrameTableFrames));
    TUFF_FLUSH("create.2", window, at, OffsetOf(kFrameTableFrames));
  }
  return TUFF_FENCE("create.3", window);
}

Status FormatPool(int fd, const std::string& path, const CreateOptions& options, uint64_t bytes,
                  bool is_device, const PageMap::Format& format) {
  const uint64_t frames = UsableFrames(bytes);
  if (frames < kSectionFramesMin) {
    return Status(Code::kInvalidArgument, fmt::format("{}: too small for a pool", path));
  }
  auto medium =
      Medium::Map(fd, path, OffsetOf(frames), {false, options.open.force_granularity, false});
  if (!medium.ok()) return medium.TakeStatus();
  auto guard = WriteGuard::Make(options.open.guard, **medium);
  if (!guard.ok()) return guard.TakeStatus();
  PersistDomain domain(std::move(*medium), std::move(*guard));
  if (is_device) {
    if (Status s = ZeroTables(domain, frames); !s.ok()) return s;
  }
  Superblock sb{};
  std::memcpy(sb.magic, kSuperblockMagic, sizeof sb.magic);
  sb.format_version = kFormatVersion;
  sb.memmap_place = options.memmap == MemmapPlace::kDram ? 1 : 0;
  MakeUuid(sb.uuid);
  sb.frames = frames;
  sb.hash_seed = Random64();
  sb.feature_incompat = kIncompatBatches;
  sb.state = kStateClean;
  sb.number_limit = 1;
  sb.next_object_id = kFirstObjectId;
  sb.created_ns = NowNs();
  if (Status s = format(domain, sb.hash_seed); !s.ok()) return s;
  CRASH_POINT("create.4");
  return WriteSuperblocks(domain, sb);
}

// A file that has been made, or a device.
Status FillFile(int fd, const std::string& path, const CreateOptions& options,
                const PageMap::Format& format) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, "cannot stat", path);
  const bool is_device = S_ISCHR(st.st_mode);
  auto bytes = Medium::SizeOf(fd, path);
  if (!bytes.ok()) return bytes.TakeStatus();
  if (is_device) {
    auto old = Medium::Map(fd, path, kHeadBytes, {true, std::nullopt, false});
    if (!old.ok()) return old.TakeStatus();
    if (ChooseSuperblock((*old)->base(), *bytes, path, false).ok()) {
      return Status(Code::kExists, fmt::format("{}: holds a pool already; wipe it first", path));
    }
  }
  if (Status s = FormatPool(fd, path, options, *bytes, is_device, format); !s.ok()) return s;
  return is_device ? Status() : SyncDirectoryOf(path);
}

}  // namespace

Status PageMap::Create(const std::string& path, const CreateOptions& options,
                       const Format& format) {
  if (options.open.read_only) {
    return Status(Code::kInvalidArgument, fmt::format("{}: cannot create read-only", path));
  }
  auto fd = CreatePoolFile(path, options);
  if (!fd.ok()) return fd.TakeStatus();
  Status s;
  try {
    s = FillFile(fd->get(), path, options, format);
  } catch (const std::bad_alloc&) {
    s = Status(Code::kNoMemory, "out of memory");
  }
  if (!s.ok()) Remove(path);
  return s;
}

void PageMap::Remove(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) unlink(path.c_str());
}

Result<std::unique_ptr<PageMap>> PageMap::Open(const std::string& path, const OpenOptions& options,
                                               const RecordCheck& record_check) {
  std::unique_ptr<PageMap> map(new PageMap);
  map->path_ = path;
  map->log_ = options.log;
  auto fd = OpenPoolFile(path, options.read_only);
  if (!fd.ok()) return fd.TakeStatus();
  map->fd_ = std::move(*fd);
  if (Status s = map->Mount(options, record_check); !s.ok()) return s;
  map->closed_ = false;
  return map;
}

Status PageMap::Mount(const OpenOptions& options, const RecordCheck& record_check) {
  auto bytes = Medium::SizeOf(fd_.get(), path_);
  if (!bytes.ok()) return bytes.TakeStatus();
  if (!TUFF_CHECK("mount.size", *bytes >= kPoolSizeMin)) {
    return Status(Code::kCorruption,
                  fmt::format("{}: not a tuff pool: only {} bytes", path_, *bytes));
  }
  // The superblocks say how much to map; so look at them through a mapping of their own.
  Result<SuperblockChoice> choice = [&]() -> Result<SuperblockChoice> {
    auto head = Medium::Map(fd_.get(), path_, kHeadBytes, {true, std::nullopt, false});
    if (!head.ok()) return head.TakeStatus();
    return ChooseSuperblock((*head)->base(), *bytes, path_, !options.read_only);
  }();
  if (!choice.ok()) return choice.TakeStatus();
  superblock_ = choice->superblock;
  was_clean_ = (superblock_.state & kStateClean) != 0;
  crashed_since_scrub_ = !was_clean_ || (superblock_.state & kStateCrashedSinceScrub) != 0;
  for (int i = 0; i < 2; i++) {
    if (choice->copy_valid[i]) continue;
    Log(LogLevel::kWarning,
        fmt::format("{}: superblock copy {} is damaged; {}", path_, i,
                    options.read_only ? "the other one is used" : "rewritten from the other one"));
  }
  auto medium = Medium::Map(fd_.get(), path_, OffsetOf(superblock_.frames),
                            {options.read_only, options.force_granularity, !options.read_only});
  if (!medium.ok()) return medium.TakeStatus();
  auto guard = WriteGuard::Make(options.guard, **medium);
  if (!guard.ok()) return guard.TakeStatus();
  domain_ = std::make_unique<PersistDomain>(std::move(*medium), std::move(*guard));
  const Medium& mapped = domain_->medium();
  if (!mapped.power_safe() && !options.read_only) {
    Log(LogLevel::kWarning, fmt::format("{}: granularity {} is forced on a medium of {}: a power "
                                        "failure may lose acknowledged writes",
                                        path_, GranularityName(mapped.granularity()),
                                        GranularityName(mapped.medium_granularity())));
  }

  superblock_.mount_nonce = Random64();
  next_number_ = superblock_.number_limit;
  if (!options.read_only) {
    if (Status s = BeginWriting(choice->best); !s.ok()) return s;
  }
  if (!was_clean_) {
    if (Status s = Recover(record_check); !s.ok()) return s;
  }

  const MemmapPlace place = options.memmap.value_or(
      superblock_.memmap_place == 1 ? MemmapPlace::kDram : MemmapPlace::kPool);
  auto memmap = Memmap::Make(*domain_, frames(), place, MountGeneration(superblock_),
                             IsSparse(fd_.get(), OffsetOf(frames())));
  if (!memmap.ok()) return memmap.TakeStatus();
  memmap_ = std::move(*memmap);
  allocator_ = std::make_unique<FrameAllocator>(*memmap_, counters());
  limbo_ = std::make_unique<Limbo>(*memmap_, *allocator_, counters());
  lanes_ = std::make_unique<Lanes>(hash_seed(), Random64());
  return Status();
}

// Of the two superblocks, copy `best` is the one that is believed.
Status PageMap::BeginWriting(int best) {
  const Medium& medium = domain_->medium();
  if (was_clean_) {  // or damage would look like the trace of a crash at the next try
    if (Status s = Lanes::CheckEmpty(*domain_); !s.ok()) return s;
  }
  {
    // Bytes of a killed process may be in the caches only: believe nothing before it is safe.
    WriteWindow window(*domain_);
    if (!was_clean_ && medium.granularity() == Granularity::kPage) {
      TUFF_FLUSH("mount.3", window, 0, OffsetOf(frames()));
    }
    TUFF_FLUSH("mount.5", window, OffsetOf(kSuperblockPfn + static_cast<Pfn>(best)),
               sizeof(Superblock));
    if (Status s = TUFF_FENCE("mount.4", window); !s.ok()) return s;
  }
  superblock_.mount_count++;
  superblock_.feature_incompat |= kIncompatBatches;  // a pool of an older build may now have them
  if (!was_clean_) superblock_.state |= kStateCrashedSinceScrub;
  if (!medium.power_safe()) superblock_.state |= kStateEverForced;
  superblock_.state &= ~kStateClean;
  superblock_.writer_pid = static_cast<uint32_t>(getpid());
  ReadBootId(superblock_.boot_id);
  const Medium::DeviceState device = medium.GetDeviceState();
  std::memcpy(superblock_.device_id, device.id, sizeof superblock_.device_id);
  superblock_.unsafe_shutdown_count = device.unsafe_shutdown_count;
  if (TUFF_ORDER("mount.reserve")) superblock_.number_limit += kNumbersReserved;
  number_limit_ = next_number_ + kNumbersReserved;
  // The copy that is believed goes last: the other one may be torn.
  const int first = TUFF_ORDER("mount.order") ? 1 - best : best;
  if (Status s = WriteSuperblocks(*domain_, superblock_, first); !s.ok()) return s;
  CRASH_POINT("mount.1");
  return Status();
}

Status PageMap::Recover(const RecordCheck& record_check) {
  if (read_only()) {
    superblock_.state |= kStateCrashedSinceScrub;  // which this mount knows, and the medium not yet
    domain_->BeginOverlay();
  }
  if (Status s = Lanes::Recover(*domain_, hash_seed(), frames(), record_check); !s.ok()) return s;
  CRASH_POINT("mount.2");
  if (read_only()) {
    if (Status s = domain_->EndOverlay(); !s.ok()) return s;
  }
  Log(LogLevel::kInfo, fmt::format("{}: recovered after a crash ({} lanes){}", path_,
                                   counters().Sum(Counter::kLanesRecovered),
                                   read_only() ? ", in memory; the file is unchanged" : ""));
  return Status();
}

Status PageMap::Close() {
  closed_ = true;
  if (limbo_) limbo_->Reclaim();
  if (read_only()) return Status();
  if (domain_->failed()) return domain_->CheckWritable();  // not clean, and it says why
  std::lock_guard lock(superblock_mutex_);
  superblock_.number_limit = next_number_;
  superblock_.state |= kStateClean;
  superblock_.writer_pid = 0;
  CRASH_POINT("close.1");
  return WriteSuperblocks(*domain_, superblock_);
}

PageMap::~PageMap() {
  if (!closed_) (void)Close();
  lanes_.reset();
  limbo_.reset();
  allocator_.reset();
  memmap_.reset();
  domain_.reset();
  fd_.reset();
}

Superblock PageMap::superblock() const {
  std::lock_guard lock(superblock_mutex_);
  return superblock_;
}

void PageMap::Log(LogLevel level, const std::string& line) const {
  if (log_) log_(level, line);
}

// Field by field: the others are read without the mutex, and may not even be rewritten as they are.
void PageMap::Adopt(const Superblock& next) {
  superblock_.sequence = next.sequence;
  superblock_.checksum = next.checksum;
  superblock_.number_limit = next.number_limit;
  superblock_.next_object_id = next.next_object_id;
  superblock_.state = next.state;
}

Status PageMap::ReserveNumbers(uint64_t number) {
  std::lock_guard lock(superblock_mutex_);
  if (number < superblock_.number_limit) return Status();  // another thread was first
  Superblock next = superblock_;
  next.number_limit = number + kNumbersReserved;
  if (TUFF_ORDER("number.reserve")) {
    if (Status s = WriteSuperblocks(*domain_, next); !s.ok()) return s;
    Adopt(next);
  }
  number_limit_.store(next.number_limit, std::memory_order_release);
  return Status();
}

void PageMap::ShowStatus(LiveStatus status) {
  if (read_only()) return;
  status.mount_nonce = superblock_.mount_nonce;
  status.checksum = LiveStatusChecksum(status);
  WriteWindow window(*domain_);
  window.Store(kLiveStatusOffset, &status, sizeof status);
}

Result<PageMap::Glance> PageMap::Peek(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int fd = file.get();
  if (fd < 0) return ErrnoStatus(errno, "cannot open", path);
  alignas(8) std::byte head[2 * kFrameSize];
  Glance glance{};
  Status s;
  for (int tries = 0;; tries++) {
    auto bytes = Medium::SizeOf(fd, path);
    s = bytes.ok() ? ReadHead(fd, path, head, sizeof head) : bytes.TakeStatus();
    if (!s.ok()) break;
    auto choice = ChooseSuperblock(head, *bytes, path, false);
    if (!choice.ok()) {
      s = choice.TakeStatus();
      break;
    }
    glance.superblock = choice->superblock;
    std::memcpy(&glance.status, head + kLiveStatusOffset, sizeof glance.status);
    if (TUFF_CHECK("status.checksum", glance.status.checksum == LiveStatusChecksum(glance.status)))
      break;
    if (glance.status.mount_nonce != glance.superblock.mount_nonce || tries == 100) {
      glance.status = {};  // none of this mount, or none that holds still
      break;
    }
  }
  if (!s.ok()) return s;
  if (!TUFF_CHECK("status.mount", glance.status.mount_nonce == glance.superblock.mount_nonce)) {
    glance.status = {};
  }
  return glance;
}

Status PageMap::SetGraveyardInUse(bool in_use) {
  std::lock_guard lock(superblock_mutex_);
  Superblock next = superblock_;
  next.state = in_use ? next.state | kStateGraveyard : next.state & ~kStateGraveyard;
  if (next.state == superblock_.state) return Status();
  if (Status s = WriteSuperblocks(*domain_, next); !s.ok()) return s;
  Adopt(next);
  return Status();
}

Status PageMap::ForgetCrash() {
  if (Status s = domain_->CheckWritable(); !s.ok()) return s;
  std::lock_guard lock(superblock_mutex_);
  Superblock next = superblock_;
  next.state &= ~kStateCrashedSinceScrub;
  if (Status s = WriteSuperblocks(*domain_, next); !s.ok()) return s;
  Adopt(next);
  crashed_since_scrub_.store(false, std::memory_order_release);
  return Status();
}

Status PageMap::ExamineCopy(int copy) const {
  auto bytes = Medium::SizeOf(fd_.get(), path_);
  if (!bytes.ok()) return bytes.TakeStatus();
  std::lock_guard lock(superblock_mutex_);
  Superblock superblock;
  std::memcpy(&superblock, base() + OffsetOf(copy == 0 ? kSuperblockPfn : kMirrorPfn),
              sizeof superblock);
  return ExamineSuperblock(superblock, *bytes, path_);
}

Result<uint32_t> PageMap::NextObjectId() {
  std::lock_guard lock(superblock_mutex_);
  Superblock next = superblock_;
  next.next_object_id++;
  if (next.next_object_id == 0) {
    return Status(Code::kNoSpace, fmt::format("{}: object ids are used up", path_));
  }
  if (TUFF_ORDER("object.reserve")) {
    if (Status s = WriteSuperblocks(*domain_, next); !s.ok()) return s;
  }
  Adopt(next);
  return next.next_object_id - 1;
}

}  // namespace tuff
