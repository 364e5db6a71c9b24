// Reads a small file of certificates, keys or tokens. Entry: ReadSecretFile(). Tested by
// tests/server/secret_file_test.cc.

#ifndef GLOWWORM_SERVER_SECRET_FILE_H_
#define GLOWWORM_SERVER_SECRET_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace glowworm {

struct SecretFile {
  SecretFile() = default;
  SecretFile(SecretFile&&) = default;
  SecretFile& operator=(SecretFile&&) = default;
  ~SecretFile();  // overwrites the bytes

  std::string bytes;
  bool readable_by_all = false;
};

// Follows symbolic links: Kubernetes mounts its secrets as such. Blocks. NotFound if nothing is there;
// InvalidArgument if it is no regular file, is empty, has more than `max_bytes`, or everybody may write it;
// Unavailable if reading fails or the file changes meanwhile. Error texts name no path.
absl::StatusOr<SecretFile> ReadSecretFile(const std::string& path, int64_t max_bytes);

// Overwrites the bytes, so that they do not linger in freed memory.
void Wipe(std::string* bytes);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_SECRET_FILE_H_
