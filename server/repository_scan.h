// The scan: what lies in the repository's folder at one moment. No file is opened, nothing is kept.
//
// <root>/<model>/<version>/flow.safetensors, version a positive integer; anything else in these folders is
// ignored. Links to folders are followed. A root that is renamed meanwhile is scanned to its end.
// Thread-safe. Tested by tests/server/repository_scan_test.cc.

#ifndef GLOWWORM_SERVER_REPOSITORY_SCAN_H_
#define GLOWWORM_SERVER_REPOSITORY_SCAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace glowworm {

// Tells one content of a path from another without reading it: a file that was replaced, written to, or
// given other permissions has another signature, even if its writer set the time of modification back.
struct FileSignature {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, modified_ns = 0, changed_ns = 0;
  uint32_t mode = 0, owner = 0, group = 0;

  bool operator==(const FileSignature& other) const { return Key() == other.Key(); }
  bool operator!=(const FileSignature& other) const { return !(*this == other); }

 private:
  std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t, uint32_t, uint32_t, uint32_t> Key() const {
    return {device, inode, size, modified_ns, changed_ns, mode, owner, group};
  }
};

struct FoundVersion {
  bool has_file = false;    // without one the folder may be one that is still being copied
  FileSignature signature;  // of the file
  absl::Status error;       // it is there and cannot be looked at, a link to nothing included
};

struct FoundModel {
  absl::Status error;  // the folder could not be read to its end
  std::map<int64_t, FoundVersion> versions;
};

struct RepositoryListing {
  std::map<std::string, FoundModel> models;
  std::vector<std::string> ignored;  // a log line for each folder that looks meant to be served and is not
};

// NotFound if `root` is no folder that can be read to its end; the text names no path.
absl::StatusOr<RepositoryListing> ScanRepository(const std::string& root);
// One model's folder. NotFound if there is none of that name. REQUIRES: IsModelName(name).
absl::StatusOr<FoundModel> ScanModel(const std::string& root, const std::string& name);

// Where a version's flow lies.
std::string FlowPath(const std::string& root, const std::string& name, int64_t version);
// The default if nothing can be seen at `path`.
FileSignature SignatureOf(const std::string& path);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_REPOSITORY_SCAN_H_
