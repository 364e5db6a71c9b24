// WriteWhole() and the folders for it. Tested by tests/model/train/atomic_file_test.cc.

#include "model/train/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "model/train/file_error.h"

namespace glowworm {
namespace train {
namespace {

constexpr int kMaxLeftBehind = 1000;  // unfinished files of killed processes that had this process's id
constexpr size_t kProbeBytes = 4096;  // a block: a full disk may still make empty files

// A new file, named after `path` and beside it, that is removed unless it takes the name `path`. Functions
// return errno, or 0 for success.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::string& path) : path_(path) {}
  ~UnfinishedFile() {
    Close();
    if (!name_.empty()) unlink(name_.c_str());
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  int Create() {
    // The process's id keeps two trainings apart; O_EXCL keeps off files and links that are there already.
    for (int i = 0; i < kMaxLeftBehind; ++i) {
      const std::string name = absl::StrCat(path_, ".unfinished.", getpid(), ".", i);
      fd_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ >= 0) name_ = name;
      if (fd_ >= 0) return 0;
      if (errno != EEXIST) return errno;
    }
    return EEXIST;
  }
  // Writes all of `bytes` and waits until the disk has them.
  int Write(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    // A file system that is elsewhere may say only at close() that it is full.
    return fsync(fd_) != 0 ? errno : Close();
  }
  int Rename() {
    if (std::rename(name_.c_str(), path_.c_str()) != 0) return errno;
    name_.clear();
    return 0;
  }

 private:
  int Close() {
    const int fd = fd_;
    fd_ = -1;
    return fd >= 0 && close(fd) != 0 ? errno : 0;
  }

  const std::string path_;
  std::string name_;  // empty before it is made and once it is renamed
  int fd_ = -1;
};

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes names in `folder` outlive a loss of power.
int SynchroniseFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = fsync(fd) != 0 ? errno : 0;
  if (error == EINVAL) error = 0;  // a file system that has no such thing
  close(fd);
  return error;
}

bool IsThere(const std::string& path, bool* folder) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return false;
  *folder = S_ISDIR(info.st_mode);
  return true;
}

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) return absl::OkStatus();
  // Not every file system says EEXIST of a folder that is there: a read-only one may say that it is
  // read-only.
  const int error = errno;
  bool folder = false;
  if (!IsThere(path, &folder)) return FileError(path, "cannot be made", error);
  if (folder) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(NameOfFile(path), " is a file, not a folder"));
}

}  // namespace

absl::Status WriteWhole(const std::string& path, absl::string_view bytes) {
  UnfinishedFile file(path);
  int error = file.Create();
  if (error == 0) error = file.Write(bytes);
  if (error == 0) error = file.Rename();
  if (error != 0) return FileError(path, "cannot be written", error);
  error = SynchroniseFolder(FolderOf(path));
  if (error != 0) return FileError(path, "is written, but its folder cannot be synchronised", error);
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::string& path) {
  size_t end = 0;
  while (end < path.size()) {
    end = std::min(path.find('/', end + 1), path.size());
    const absl::Status made = MakeFolder(path.substr(0, end));
    if (!made.ok()) return made;
  }
  return absl::OkStatus();
}

absl::Status CheckWritable(const std::string& folder) {
  UnfinishedFile file(folder + "/probe");
  int error = file.Create();
  if (error == 0) error = file.Write(std::string(kProbeBytes, '\0'));
  return error == 0 ? absl::OkStatus() : FileError(folder, "cannot be written to", error);
}

}  // namespace train
}  // namespace glowworm
