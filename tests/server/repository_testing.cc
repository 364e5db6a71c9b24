// The folder, the loaders and the views of RepositoryTest.

#include "tests/server/repository_testing.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "tests/testing/random_flow.h"

namespace glowworm {

namespace fs = std::filesystem;

RepositoryTest::RepositoryTest() {
  std::string name = (fs::path(::testing::TempDir()) / "glowworm-repository-XXXXXX").string();
  root_ = mkdtemp(name.data());
  options_.root = root_.string();
  pool_ = *ComputePool::Create(PoolOptions());
}

RepositoryTest::~RepositoryTest() {
  repository_.reset();
  fs::remove_all(root_);
}

void RepositoryTest::Put(const std::string& file, const std::string& content) {
  fs::create_directories((root_ / file).parent_path());
  const fs::path unfinished = root_ / (file + ".tmp");
  std::ofstream(unfinished) << content;
  fs::rename(unfinished, root_ / file);
}

RepositoryTest::Loaded RepositoryTest::Serve(const std::string& name, int64_t version) {
  std::shared_ptr<const Flow> flow =
      *Flow::Create(RandomFlow(1, RowShape(2)).AddAffine(true).Finish(BaseKind::kStandard), FlowOptions());
  return ServedModel::Create(name, version, std::move(flow), metrics_.ForModel(name, std::to_string(version)),
                             BatcherOptions(), pool_.get());
}

ModelRepository::Loader RepositoryTest::LoaderOfContents() {
  return [this](const std::string& name, int64_t version, const std::string& path) -> Loaded {
    loads_.push_back(name + "/" + std::to_string(version));
    std::ifstream file(path);
    const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (content == "bad") return absl::InvalidArgumentError("it is bad");
    return Serve(name, version);
  };
}

void RepositoryTest::Start(ModelRepository::Loader loader) {
  auto opened = ModelRepository::Open(options_, std::move(loader),
                                      [this](const ModelEntry& entry) { told_.push_back(entry.name); });
  ASSERT_TRUE(opened.ok()) << opened.status();
  repository_ = *std::move(opened);
  ASSERT_TRUE(repository_->StartLoading().ok());
}

void RepositoryTest::Open(const std::set<std::string>& broken) {
  Start([this, broken](const std::string& name, int64_t version, const std::string& path) -> Loaded {
    if (broken.count(name + "/" + std::to_string(version)) > 0) {
      return absl::InvalidArgumentError("file " + path + " is cut short");
    }
    return Serve(name, version);
  });
  EXPECT_TRUE(repository_->WaitUntilLoaded());
}

std::vector<std::string> RepositoryTest::Listed() const {
  std::vector<std::string> out;
  for (const ModelEntry& entry : registry().List())
    out.push_back(entry.name + "/" + std::to_string(entry.version));
  return out;
}

std::vector<std::string> RepositoryTest::States() const {
  constexpr const char* kNames[] = {" UNLOADED", " LOADING", " READY", " FAILED", " UNLOADING"};
  std::vector<std::string> out;
  for (const ModelEntry& entry : registry().List()) {
    out.push_back(entry.name + "/" + std::to_string(entry.version) + kNames[static_cast<int>(entry.state)]);
  }
  return out;
}

}  // namespace glowworm
