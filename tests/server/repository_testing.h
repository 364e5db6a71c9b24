// RepositoryTest: a ModelRepository over a folder that a test fills, with a loader that the test writes.
// Shared by repository_test.cc and repository_follow_test.cc.

#ifndef GLOWWORM_TESTS_SERVER_REPOSITORY_TESTING_H_
#define GLOWWORM_TESTS_SERVER_REPOSITORY_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/compute_pool.h"
#include "server/metrics.h"
#include "server/model_repository.h"

namespace glowworm {

class RepositoryTest : public ::testing::Test {
 protected:
  using Loaded = absl::StatusOr<std::shared_ptr<const ServedModel>>;

  RepositoryTest();
  ~RepositoryTest() override;

  // Under the root; a file is put there by rename.
  void Put(const std::string& file, const std::string& content = "x");
  void PutModel(const std::string& name, const std::string& version, const std::string& content = "x") {
    Put(name + "/" + version + "/flow.safetensors", content);
  }

  // A model that has nothing to do with the file.
  Loaded Serve(const std::string& name, int64_t version);
  // Serves a file unless its content is "bad".
  ModelRepository::Loader LoaderOfContents();

  // Opens, with options_, and begins to load.
  void Start(ModelRepository::Loader loader);
  // The same, and waits; `broken` are refused, as "name/version".
  void Open(const std::set<std::string>& broken = {});

  const ModelRegistry& registry() const { return repository_->registry(); }
  // "name/version" of every entry.
  std::vector<std::string> Listed() const;
  // "name/version STATE" of every entry.
  std::vector<std::string> States() const;
  absl::StatusCode CodeOf(const std::string& name, int64_t version = 0) const {
    return registry().Find(name, version).status().code();
  }

  std::filesystem::path root_;
  RepositoryOptions options_;
  Metrics metrics_;
  std::unique_ptr<ComputePool> pool_;
  std::vector<std::string> told_;   // names, in order; the repository's thread's
  std::vector<std::string> loads_;  // "name/version" that LoaderOfContents was asked for; the same thread's
  std::unique_ptr<ModelRepository> repository_;
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_SERVER_REPOSITORY_TESTING_H_
