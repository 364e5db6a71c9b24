#include "server/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

absl::Status CheckKind(const struct stat& info, int64_t max_bytes) {
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("expected a regular file");
  if ((info.st_mode & S_IWOTH) != 0) {
    return absl::InvalidArgumentError("the file may be written by everybody; take that right away");
  }
  if (info.st_size == 0) return absl::InvalidArgumentError("the file is empty");
  if (info.st_size > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected at most ", max_bytes, " bytes, got a file of ", info.st_size));
  }
  return absl::OkStatus();
}

}  // namespace

SecretFile::~SecretFile() { Wipe(&bytes); }

void Wipe(std::string* bytes) {
  if (!bytes->empty()) OPENSSL_cleanse(&(*bytes)[0], bytes->size());
  bytes->clear();
}

absl::StatusOr<SecretFile> ReadSecretFile(const std::string& path, int64_t max_bytes) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("the file does not exist");
    return absl::UnavailableError(absl::StrCat("the file cannot be opened: ", std::strerror(errno)));
  }
  const absl::Cleanup close_it = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return absl::UnavailableError(absl::StrCat("the file cannot be examined: ", std::strerror(errno)));
  }
  absl::Status status = CheckKind(info, max_bytes);
  if (!status.ok()) return status;

  SecretFile out;
  out.readable_by_all = (info.st_mode & S_IROTH) != 0;
  out.bytes.resize(static_cast<size_t>(info.st_size) + 1);  // room to notice that it has grown
  size_t done = 0;
  while (done < out.bytes.size()) {
    const ssize_t got = read(fd, &out.bytes[done], out.bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return absl::UnavailableError(absl::StrCat("the file cannot be read: ", std::strerror(errno)));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  if (done != static_cast<size_t>(info.st_size)) {
    return absl::UnavailableError("the file changed while it was read");
  }
  out.bytes.resize(done);
  return out;
}

}  // namespace glowworm
