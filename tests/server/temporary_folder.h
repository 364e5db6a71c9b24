// TemporaryFolder: files of a test's own, removed with it.

#ifndef GLOWWORM_TESTS_SERVER_TEMPORARY_FOLDER_H_
#define GLOWWORM_TESTS_SERVER_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace glowworm {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::path(::testing::TempDir()) / "glowworm-files-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string Path(const std::string& name) const { return (path_ / name).string(); }
  // Writes the file, or replaces it as a whole; readable by its owner only. Returns its path.
  std::string Put(const std::string& name, const std::string& bytes) const {
    const std::string path = Path(name);
    std::ofstream(path + ".new", std::ios::binary) << bytes;
    std::filesystem::permissions(path + ".new", std::filesystem::perms(0600));
    std::filesystem::rename(path + ".new", path);
    return path;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_SERVER_TEMPORARY_FOLDER_H_
