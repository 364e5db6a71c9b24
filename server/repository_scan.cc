// Folders and stat().

#include "server/repository_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;

constexpr char kFlowFile[] = "flow.safetensors";

// A version folder's number, written as a plain positive integer; 0 otherwise.
int64_t ParseVersion(const std::string& folder) {
  int64_t version = 0;
  if (!absl::SimpleAtoi(folder, &version) || version <= 0 || folder != absl::StrCat(version)) return 0;
  return version;
}

// An open folder. What it is called by now does not matter: names in it are looked up from here, so that a
// root that is renamed meanwhile does not look as if its models had gone.
class Folder {
 public:
  // `name` is looked up in the folder `at`, or is a path with AT_FDCWD. `error` says why it is not open.
  Folder(int at, const std::string& name, std::error_code* error) {
    const int fd = openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) dir_ = fdopendir(fd);
    if (dir_ == nullptr) *error = std::error_code(errno, std::generic_category());
    if (dir_ == nullptr && fd >= 0) close(fd);
  }
  ~Folder() {
    if (dir_ != nullptr) closedir(dir_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  int fd() const { return dir_ == nullptr ? -1 : dirfd(dir_); }

  // The names in it, up to an error in reading it.
  std::vector<std::string> Names(std::error_code* error) {
    std::vector<std::string> out;
    while (dir_ != nullptr) {
      errno = 0;
      const dirent* const entry = readdir(dir_);
      if (entry == nullptr) break;
      const absl::string_view name = entry->d_name;
      if (name != "." && name != "..") out.emplace_back(name);
    }
    if (dir_ != nullptr && errno != 0) *error = std::error_code(errno, std::generic_category());
    return out;
  }

 private:
  DIR* dir_ = nullptr;
};

absl::Status CannotBeRead(absl::string_view what, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(what, " cannot be read: ", why));
}

absl::Status RootCannotBeRead(const std::error_code& error) {
  return absl::NotFoundError(absl::StrCat("the model repository cannot be read: ", error.message()));
}

// What lies at a path, links followed. Neither there nor an error: not even a link.
struct Seen {
  bool there = false;
  struct stat info = {};
  absl::Status error;
};

// `path` is looked up in the folder `at`, or in the current one with AT_FDCWD.
Seen Look(int at, const fs::path& path) {
  Seen out;
  if (fstatat(at, path.c_str(), &out.info, 0) == 0) {
    out.there = true;
    return out;
  }
  const std::error_code error(errno, std::generic_category());
  if (error.value() != ENOENT && error.value() != ENOTDIR) {
    out.error = CannotBeRead(path.filename().string(), error.message());
  } else if (struct stat link; fstatat(at, path.c_str(), &link, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(link.st_mode)) {
      out.error = CannotBeRead(path.filename().string(), "it is a symbolic link to nothing");
    } else {  // it came between the two looks
      out.there = true;
      out.info = link;
    }
  }
  return out;
}

FileSignature SignatureOf(const struct stat& info) {
  FileSignature out;
  out.device = info.st_dev;
  out.inode = info.st_ino;
  out.size = info.st_size;
  out.modified_ns = int64_t{1'000'000'000} * info.st_mtim.tv_sec + info.st_mtim.tv_nsec;
  out.changed_ns = int64_t{1'000'000'000} * info.st_ctim.tv_sec + info.st_ctim.tv_nsec;
  out.mode = info.st_mode;
  out.owner = info.st_uid;
  out.group = info.st_gid;
  return out;
}

FoundModel ScanFolder(const Folder& root, const std::string& name, std::vector<std::string>* ignored) {
  FoundModel out;
  std::error_code error;
  Folder folder(root.fd(), name, &error);
  for (const std::string& child : folder.Names(&error)) {
    const int64_t version = ParseVersion(child);
    if (version == 0) continue;
    Seen seen = Look(folder.fd(), child);
    if (seen.error.ok() && (!seen.there || !S_ISDIR(seen.info.st_mode))) continue;
    if (seen.error.ok()) seen = Look(folder.fd(), fs::path(child) / kFlowFile);
    FoundVersion& found = out.versions[version];
    found.error = seen.error;
    found.has_file = seen.there;
    if (seen.there) {
      found.signature = SignatureOf(seen.info);
    } else if (seen.error.ok()) {
      ignored->push_back(
          absl::StrCat("ignored folder=", name, "/", version, " reason=\"no ", kFlowFile, " in it\""));
    }
  }
  if (error) out.error = CannotBeRead("the model's folder", error.message());
  return out;
}

}  // namespace

absl::StatusOr<RepositoryListing> ScanRepository(const std::string& root) {
  RepositoryListing out;
  std::error_code error;
  Folder folder(AT_FDCWD, root, &error);
  for (const std::string& name : folder.Names(&error)) {
    const Seen seen = Look(folder.fd(), name);
    if (seen.error.ok() && (!seen.there || !S_ISDIR(seen.info.st_mode))) continue;
    if (!IsModelName(name)) {
      out.ignored.push_back(
          absl::StrCat("ignored folder=", Sanitized(name, kMaxNameBytes), " reason=\"not a model name\""));
    } else if (!seen.error.ok()) {
      out.models[name].error = seen.error;
    } else {
      out.models[name] = ScanFolder(folder, name, &out.ignored);
    }
  }
  if (error) return RootCannotBeRead(error);
  return out;
}

absl::StatusOr<FoundModel> ScanModel(const std::string& root, const std::string& name) {
  std::error_code error;
  const Folder folder(AT_FDCWD, root, &error);
  if (error) return RootCannotBeRead(error);
  const Seen seen = Look(folder.fd(), name);
  if (!seen.error.ok()) return seen.error;
  if (!seen.there || !S_ISDIR(seen.info.st_mode)) {
    return absl::NotFoundError(absl::StrCat("the repository has no folder '", name, "'"));
  }
  std::vector<std::string> ignored;
  FoundModel out = ScanFolder(folder, name, &ignored);
  if (!out.error.ok()) return out.error;
  return out;
}

std::string FlowPath(const std::string& root, const std::string& name, int64_t version) {
  return (fs::path(root) / name / absl::StrCat(version) / kFlowFile).string();
}

FileSignature SignatureOf(const std::string& path) {
  const Seen seen = Look(AT_FDCWD, path);
  return seen.there ? SignatureOf(seen.info) : FileSignature();
}

}  // namespace glowworm
