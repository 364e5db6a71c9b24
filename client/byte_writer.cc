// ByteWriter over a file descriptor, with 64 KiB gathered per write.

#include "client/byte_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {
constexpr size_t kPiece = 64 << 10;
}  // namespace

ByteWriter::ByteWriter(std::string name, int fd, bool owned)
    : name_(std::move(name)), fd_(fd), owned_(owned) {
  struct stat info;
  const bool regular = fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  const int flags = fcntl(fd_, F_GETFL);
  if (regular && flags >= 0 && (flags & O_APPEND) == 0) start_ = lseek(fd_, 0, SEEK_CUR);
}

absl::StatusOr<std::unique_ptr<ByteWriter>> ByteWriter::Open(const std::string& name, int stdout_fd) {
  if (name == "-") return std::unique_ptr<ByteWriter>(new ByteWriter("standard output", stdout_fd, false));
  struct stat info;
  const bool special = stat(name.c_str(), &info) == 0 && !S_ISREG(info.st_mode);  // a FIFO, /dev/null
  const std::string temporary = special ? "" : absl::StrCat(name, ".", getpid(), ".tmp");
  const std::string& target = special ? name : temporary;
  const int fd = open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (special ? 0 : O_TRUNC), 0666);
  if (fd < 0) return absl::InvalidArgumentError(absl::StrCat("cannot write ", name, ": ", strerror(errno)));
  std::unique_ptr<ByteWriter> writer(new ByteWriter(name, fd, true));
  writer->temporary_ = temporary;
  return writer;
}

ByteWriter::~ByteWriter() {
  if (owned_) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status ByteWriter::Failure(const char* what) const {
  if (errno == EPIPE) return absl::CancelledError(absl::StrCat("the reader of ", name_, " has gone"));
  return absl::DataLossError(absl::StrCat("cannot ", what, " ", name_, ": ", strerror(errno)));
}

absl::Status ByteWriter::WriteAll(absl::string_view bytes, int64_t at) {
  while (!bytes.empty()) {
    const ssize_t put = at < 0 ? write(fd_, bytes.data(), bytes.size())
                               : pwrite(fd_, bytes.data(), bytes.size(), start_ + at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Failure("write");
    bytes.remove_prefix(static_cast<size_t>(put));
    if (at >= 0) at += put;
  }
  return absl::OkStatus();
}

absl::Status ByteWriter::Write(absl::string_view bytes) {
  buffer_.append(bytes.data(), bytes.size());
  return buffer_.size() >= kPiece ? Flush() : absl::OkStatus();
}

absl::Status ByteWriter::Flush() { return WriteAll(std::exchange(buffer_, std::string()), -1); }

absl::Status ByteWriter::Patch(int64_t offset, absl::string_view bytes) {
  absl::Status status = Flush();
  return status.ok() ? WriteAll(bytes, offset) : status;
}

absl::Status ByteWriter::Finish() {
  absl::Status status = Flush();
  if (!status.ok() || temporary_.empty()) return status;
  if (rename(temporary_.c_str(), name_.c_str()) != 0) return Failure("write");
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace client
}  // namespace glowworm
