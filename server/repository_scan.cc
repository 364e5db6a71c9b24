// Folders and stat().

#include "server/repository_scan.h"

#include <sys/stat.h>

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

// What lies in a folder, up to an error in reading it. (A range-for over the iterator would throw.)
std::vector<fs::path> Children(const fs::path& folder, std::error_code* error) {
  std::vector<fs::path> out;
  fs::directory_iterator end;
  for (fs::directory_iterator it(folder, *error); !*error && it != end; it.increment(*error)) {
    out.push_back(it->path());
  }
  return out;
}

absl::Status CannotBeRead(absl::string_view what, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(what, " cannot be read: ", why));
}

// What lies at a path, links followed. Neither there nor an error: not even a link.
struct Seen {
  bool there = false;
  struct stat info = {};
  absl::Status error;
};

Seen Look(const fs::path& path) {
  Seen out;
  if (stat(path.c_str(), &out.info) == 0) {
    out.there = true;
    return out;
  }
  const std::error_code error(errno, std::generic_category());
  if (error.value() != ENOENT && error.value() != ENOTDIR) {
    out.error = CannotBeRead(path.filename().string(), error.message());
  } else if (struct stat link; lstat(path.c_str(), &link) == 0) {
    out.error = CannotBeRead(path.filename().string(), "it is a symbolic link to nothing");
  }
  return out;
}

FileSignature SignatureOf(const struct stat& info) {
  FileSignature out;
  out.device = info.st_dev;
  out.inode = info.st_ino;
  out.size = info.st_size;
  out.modified_ns = int64_t{1'000'000'000} * info.st_mtim.tv_sec + info.st_mtim.tv_nsec;
  out.mode = info.st_mode;
  out.owner = info.st_uid;
  out.group = info.st_gid;
  return out;
}

FoundModel ScanFolder(const fs::path& folder, const std::string& name, std::vector<std::string>* ignored) {
  FoundModel out;
  std::error_code error;
  for (const fs::path& child : Children(folder, &error)) {
    const int64_t version = ParseVersion(child.filename().string());
    if (version == 0) continue;
    Seen seen = Look(child);
    if (seen.error.ok() && (!seen.there || !S_ISDIR(seen.info.st_mode))) continue;
    if (seen.error.ok()) seen = Look(child / kFlowFile);
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
  for (const fs::path& folder : Children(root, &error)) {
    const std::string name = folder.filename().string();
    const Seen seen = Look(folder);
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
  if (error) {
    return absl::NotFoundError(absl::StrCat("the model repository cannot be read: ", error.message()));
  }
  return out;
}

absl::StatusOr<FoundModel> ScanModel(const std::string& root, const std::string& name) {
  const fs::path folder = fs::path(root) / name;
  const Seen seen = Look(folder);
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
  const Seen seen = Look(path);
  return seen.there ? SignatureOf(seen.info) : FileSignature();
}

}  // namespace glowworm
