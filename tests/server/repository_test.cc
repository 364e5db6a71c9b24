// ModelRepository's start: which folders count, the states a model passes through, and what a request's
// reference means. What happens later: repository_follow_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/synchronization/notification.h"
#include "tests/server/repository_testing.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ModelRepositoryTest : public RepositoryTest {};

TEST_F(ModelRepositoryTest, ListsModelsAndIgnoresTheRest) {
  PutModel("digits", "1");
  PutModel("digits", "12");
  PutModel("thyroid", "3");
  for (const char* file :
       {"README.md", "digits/README.md", "digits/0/flow.safetensors", "digits/-1/flow.safetensors",
        "digits/01/flow.safetensors", "digits/1x/flow.safetensors", "digits/2/other.safetensors",
        "digits/99999999999999999999/flow.safetensors", ".hidden/1/flow.safetensors",
        "bad name/1/flow.safetensors"}) {
    Put(file);
  }
  Open();
  EXPECT_THAT(Listed(), ElementsAre("digits/1", "digits/12", "thyroid/3"));
}

TEST_F(ModelRepositoryTest, ListsAsFailedWhatIsThereAndCannotBeRead) {
  PutModel("good", "1");
  fs::create_directories(root_ / "links" / "3");
  fs::create_symlink("nowhere", root_ / "dangling");
  fs::create_symlink("loop", root_ / "loop");
  fs::create_symlink("nowhere", root_ / "links" / "1");
  fs::create_symlink("2", root_ / "links" / "2");
  fs::create_symlink("nowhere", root_ / "links" / "3" / "flow.safetensors");
  Open();
  EXPECT_THAT(Listed(), ElementsAre("dangling/0", "good/1", "links/1", "links/2", "links/3", "loop/0"));
  EXPECT_THAT(told_, ElementsAre("dangling", "good", "links", "links", "links", "loop"));
  EXPECT_EQ(CodeOf("good"), absl::StatusCode::kOk);
  const auto error_of = [this](const std::string& name, int64_t version) {
    return std::string(registry().Find(name, version).status().message());
  };
  EXPECT_THAT(error_of("dangling", 0),
              HasSubstr("dangling cannot be read: it is a symbolic link to nothing"));
  EXPECT_THAT(error_of("loop", 0), HasSubstr("loop cannot be read: Too many levels of symbolic links"));
  EXPECT_THAT(error_of("links", 2), HasSubstr("2 cannot be read: Too many levels of symbolic links"));
  EXPECT_THAT(error_of("links", 3), HasSubstr("flow.safetensors cannot be read: it is a symbolic link"));
}

// The permissions of a folder say nothing to root, so that root looks as somebody else.
TEST_F(ModelRepositoryTest, ListsAsFailedAFolderThatItMayNotRead) {
  PutModel("good", "1");
  PutModel("closed", "1");
  PutModel("half", "1");
  fs::permissions(root_, fs::perms(0755));
  fs::permissions(root_ / "closed", fs::perms::none);
  fs::permissions(root_ / "half" / "1", fs::perms::none);
  constexpr uid_t kNobody = 65534;
  const bool root = geteuid() == 0;
  ASSERT_EQ(root ? seteuid(kNobody) : 0, 0);
  Open();
  ASSERT_EQ(root ? seteuid(0) : 0, 0);
  fs::permissions(root_ / "closed", fs::perms(0755));
  fs::permissions(root_ / "half" / "1", fs::perms(0755));
  EXPECT_THAT(Listed(), ElementsAre("closed/0", "good/1", "half/1"));
  EXPECT_THAT(std::string(registry().Find("closed", 0).status().message()),
              HasSubstr("the model's folder cannot be read: Permission denied"));
  EXPECT_THAT(std::string(registry().Find("half", 0).status().message()),
              HasSubstr("flow.safetensors cannot be read: Permission denied"));
}

TEST_F(ModelRepositoryTest, RefusesAFolderThatIsNotThere) {
  const auto opened =
      ModelRepository::Open(RepositoryOptions{(root_ / "nowhere").string()}, nullptr, nullptr);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(opened.status().message()), Not(HasSubstr("nowhere")));
}

TEST_F(ModelRepositoryTest, IsLoadedAtOnceWhenEmpty) {
  Open();
  EXPECT_TRUE(repository_->WaitUntilLoaded());
  EXPECT_EQ(CodeOf(""), absl::StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, MeansTheNewestVersionByZero) {
  for (const char* version : {"9", "10", "2"}) PutModel("digits", version);
  Open();
  EXPECT_EQ((*registry().Find("digits", 0))->version(), 10);
  EXPECT_EQ((*registry().Find("digits", 2))->version(), 2);
}

TEST_F(ModelRepositoryTest, MeansTheNewestReadyVersionWhenALaterOneFailed) {
  for (const char* version : {"1", "2", "3"}) PutModel("digits", version);
  Open({"digits/3"});
  EXPECT_EQ((*registry().Find("digits", 0))->version(), 2);
  EXPECT_EQ(CodeOf("digits", 3), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ModelRepositoryTest, MeansTheOnlyModelByNoName) {
  PutModel("digits", "1");
  Open();
  EXPECT_EQ((*registry().Find("", 0))->name(), "digits");
}

TEST_F(ModelRepositoryTest, AsksForANameWhereThereAreSeveral) {
  PutModel("digits", "1");
  PutModel("thyroid", "1");
  Open();
  const absl::Status status = registry().Find("", 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("digits, thyroid"));
}

TEST_F(ModelRepositoryTest, KnowsWhatItDoesNotHave) {
  PutModel("digits", "1");
  Open();
  EXPECT_EQ(CodeOf("nope"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf("digits", 99), absl::StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, KeepsAFailedModelListedWithItsError) {
  PutModel("bad", "1");
  PutModel("good", "1");
  Open({"bad/1"});
  EXPECT_THAT(Listed(), ElementsAre("bad/1", "good/1"));
  const ModelEntry entry = *registry().Describe("bad", 0);
  EXPECT_EQ(entry.state, ModelState::kFailed);
  EXPECT_EQ(std::string(entry.error.message()), "file flow.safetensors is cut short");  // no path
  const absl::Status status = registry().Find("bad", 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cut short"));
  EXPECT_THAT(told_, ElementsAre("bad", "good"));
}

TEST_F(ModelRepositoryTest, LeavesTheRestOfAnErrorAsItIs) {
  PutModel("bad", "1");
  const std::string message = "layer " + root_.string() + ": expected 2 numbers, got 3";
  Start([&](const std::string&, int64_t, const std::string&) -> Loaded {
    return absl::InvalidArgumentError(message);
  });
  EXPECT_TRUE(repository_->WaitUntilLoaded());
  EXPECT_EQ(std::string(registry().Describe("bad", 0)->error.message()), message);
}

TEST_F(ModelRepositoryTest, AFolderThatCannotBeReadIsAnErrorAndNoException) {
  Put("file");
  const auto opened = ModelRepository::Open(RepositoryOptions{(root_ / "file").string()}, nullptr, nullptr);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelRepositoryTest, IsUnavailableWhileItLoads) {
  PutModel("digits", "1");
  absl::Notification begun, go_on;
  Start([&](const std::string& name, int64_t version, const std::string&) -> Loaded {
    begun.Notify();
    go_on.WaitForNotification();
    return Serve(name, version);
  });
  begun.WaitForNotification();
  EXPECT_EQ(CodeOf("digits"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(registry().Describe("digits", 0)->state, ModelState::kLoading);
  go_on.Notify();
  EXPECT_TRUE(repository_->WaitUntilLoaded());
  EXPECT_EQ(CodeOf("digits"), absl::StatusCode::kOk);
}

TEST_F(ModelRepositoryTest, OnceStoppedBeginsNoLoadAndDropsTheOneUnderWay) {
  PutModel("a", "1");
  PutModel("b", "1");
  absl::Notification begun, go_on;
  Start([&](const std::string& name, int64_t version, const std::string&) -> Loaded {
    begun.Notify();  // a second load would abort here
    go_on.WaitForNotification();
    return Serve(name, version);
  });
  begun.WaitForNotification();
  repository_->StopLoading();
  EXPECT_FALSE(repository_->WaitUntilLoaded());  // returns although "a" is still loading
  go_on.Notify();
  repository_->JoinLoader();
  EXPECT_EQ(CodeOf("a"), absl::StatusCode::kUnavailable);
  EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace glowworm
