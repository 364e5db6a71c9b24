// TempFile: a file of a test's own, removed with it.

#ifndef GLOWWORM_TESTS_CLIENT_TEMP_FILE_H_
#define GLOWWORM_TESTS_CLIENT_TEMP_FILE_H_

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace glowworm {
namespace client {

class TempFile {
 public:
  // The file exists only if `content` is not empty.
  explicit TempFile(const std::string& suffix, const std::string& content = "")
      : path_(testing::TempDir() + "glowworm_" + std::to_string(getpid()) + "_" + std::to_string(++count_) +
              suffix) {
    if (!content.empty()) std::ofstream(path_, std::ios::binary) << content;
  }
  ~TempFile() { unlink(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  const std::string& path() const { return path_; }
  std::string Read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  bool Exists() const { return access(path_.c_str(), F_OK) == 0; }

 private:
  static inline int count_ = 0;
  const std::string path_;
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_CLIENT_TEMP_FILE_H_
