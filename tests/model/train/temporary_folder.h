// TemporaryFolder: an empty folder that is gone, with all it holds, at the end of a test.

#ifndef GLOWWORM_TESTS_MODEL_TRAIN_TEMPORARY_FOLDER_H_
#define GLOWWORM_TESTS_MODEL_TRAIN_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace glowworm {
namespace train {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(testing::TempDir() + "glowworm-XXXXXX") {
    if (mkdtemp(&path_[0]) == nullptr) std::abort();
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(File(name), std::ios::binary) << bytes;
  }
  std::string Read(const std::string& name) const {
    std::ifstream in(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Names of what it holds.
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

 private:
  std::string path_;
};

// While it lives a file can have `bytes` bytes and no more: a full disk, for root too.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const struct rlimit limit = {bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*const old_handler_)(int);
  struct rlimit old_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_TRAIN_TEMPORARY_FOLDER_H_
