// ReadRegularFile(). Tested by tests/model/safetensors_test.cc.

#include "model/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  const int fd_;
};

// The number of bytes read, fewer than `size` only at the end of the file; -1 with errno set.
int64_t ReadFully(int fd, char* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = read(fd, out + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<int64_t>(done);
}

}  // namespace

absl::StatusOr<std::string> ReadRegularFile(const std::string& path, int64_t max_bytes) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("the file does not exist");
    if (errno == ELOOP) return absl::InvalidArgumentError("the file is a symbolic link, not a regular file");
    const std::string why = absl::StrCat("the file cannot be opened: ", std::strerror(errno));
    return errno == EACCES ? absl::PermissionDeniedError(why) : absl::UnavailableError(why);
  }
  struct stat info;
  if (fstat(file.get(), &info) != 0) {
    return absl::UnavailableError(absl::StrCat("the file cannot be examined: ", std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("the file is not a regular file");
  if (info.st_size > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the file has ", info.st_size, " bytes; at most ", max_bytes, " are read"));
  }
  std::string bytes;
  try {
    bytes.resize(static_cast<size_t>(info.st_size));
  } catch (const std::bad_alloc&) {
    return absl::UnavailableError(absl::StrCat("no memory for the file's ", info.st_size, " bytes"));
  }
  const int64_t got = ReadFully(file.get(), &bytes[0], bytes.size());
  if (got < 0) return absl::UnavailableError(absl::StrCat("the file cannot be read: ", std::strerror(errno)));
  char beyond;
  if (got != info.st_size || ReadFully(file.get(), &beyond, 1) != 0) {
    return absl::UnavailableError("the file changed while it was read");
  }
  return bytes;
}

}  // namespace glowworm
