// ByteReader over a file descriptor or memory, 64 KiB at a time.

#include "client/byte_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {
constexpr size_t kPiece = 64 << 10;
}  // namespace

absl::StatusOr<std::unique_ptr<ByteReader>> ByteReader::Open(const std::string& name, int stdin_fd) {
  if (name == "-") return std::unique_ptr<ByteReader>(new ByteReader("standard input", stdin_fd, false));
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::InvalidArgumentError(absl::StrCat("cannot open ", name, ": ", strerror(errno)));
  return std::unique_ptr<ByteReader>(new ByteReader(name, fd, true));
}

std::unique_ptr<ByteReader> ByteReader::OfMemory(const std::string& name, absl::string_view bytes) {
  return std::unique_ptr<ByteReader>(new ByteReader(name, kMemory, false, bytes));
}

ByteReader::~ByteReader() {
  if (owned_) close(fd_);
}

absl::StatusOr<bool> ByteReader::Fill() {
  if (fd_ == kMemory) {
    const size_t count = std::min(kPiece, memory_.size());
    ahead_.append(memory_.data(), count);
    memory_.remove_prefix(count);
    ended_ = count == 0;
    return count > 0;
  }
  const size_t before = ahead_.size();
  ahead_.resize(before + kPiece);
  ssize_t got;
  do {
    got = read(fd_, &ahead_[before], kPiece);
  } while (got < 0 && errno == EINTR);
  ahead_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got < 0) return absl::InvalidArgumentError(absl::StrCat("cannot read ", name_, ": ", strerror(errno)));
  ended_ = got == 0;
  return got > 0;
}

absl::StatusOr<size_t> ByteReader::Gather(size_t count, bool may_wait) {
  while (ahead_.size() < count && (may_wait || CanRead())) {
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  return std::min(count, ahead_.size());
}

absl::StatusOr<std::string> ByteReader::Peek(size_t count) {
  absl::StatusOr<size_t> there = Gather(count, /*may_wait=*/true);
  if (!there.ok()) return there.status();
  return ahead_.substr(0, *there);
}

absl::StatusOr<std::string> ByteReader::Read(size_t count) {
  absl::StatusOr<std::string> bytes = Peek(count);
  if (bytes.ok()) ahead_.erase(0, bytes->size());
  return bytes;
}

absl::StatusOr<std::string> ByteReader::ReadSome() {
  if (ahead_.empty()) {
    absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
  }
  return std::exchange(ahead_, std::string());
}

bool ByteReader::Ready() const { return !ahead_.empty() || CanRead(); }

bool ByteReader::CanRead() const {
  if (fd_ == kMemory) return true;
  pollfd wait = {fd_, POLLIN, 0};
  return poll(&wait, 1, 0) != 0;  // an error shows at the read
}

absl::optional<int64_t> ByteReader::BytesLeft() const {
  if (fd_ == kMemory) return static_cast<int64_t>(memory_.size() + ahead_.size());
  struct stat info;
  if (fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return absl::nullopt;
  const off_t at = lseek(fd_, 0, SEEK_CUR);
  if (at < 0) return absl::nullopt;
  return std::max<int64_t>(0, info.st_size - at) + static_cast<int64_t>(ahead_.size());
}

}  // namespace client
}  // namespace glowworm
