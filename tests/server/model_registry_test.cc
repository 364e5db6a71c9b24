// ModelRegistry: what a swap and an unload do to those who hold the old model. (What references mean:
// repository_test.cc.)

#include "server/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/server/repository_testing.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Served = std::shared_ptr<const ServedModel>;

class ModelRegistryTest : public RepositoryTest {
 protected:
  // Makes digits 1 ready with a new model.
  void Load(int64_t version = 1) { registry_.SetReady("digits", version, *Serve("digits", version)); }
  Served Find(int64_t version = 0) { return *registry_.Find("digits", version); }
  ModelState StateOf(int64_t version) { return registry_.Versions("digits").at(version).state; }
  // A task that comes too late is refused for that, unless the batcher drains: that is judged first.
  bool Drains(const Served& model) {
    auto task = std::make_unique<Task>();
    task->rows = 1;
    task->deadline = absl::InfinitePast();
    return absl::IsUnavailable(model->batcher(Work::kEncode)->Schedule(&task, nullptr));
  }

  ModelRegistry registry_;
  const absl::Time now_ = absl::UnixEpoch();
};

TEST_F(ModelRegistryTest, ASwapMovesNewCallsAtOnceAndKeepsOldOnes) {
  Load();
  const Served old = Find();
  Load();
  EXPECT_NE(Find().get(), old.get());
  EXPECT_EQ(StateOf(1), ModelState::kReady);
  EXPECT_TRUE(registry_.departing());
  EXPECT_EQ(registry_.InUse().size(), 2);
  EXPECT_THAT(registry_.Collect(now_), IsEmpty());
  EXPECT_TRUE(registry_.departing());
}

TEST_F(ModelRegistryTest, AReplacedModelIsFreedWithItsLastCall) {
  Load();
  Served old = Find();
  const std::weak_ptr<const ServedModel> watched = old;
  Load();
  registry_.Collect(now_);
  old.reset();
  EXPECT_FALSE(watched.expired()) << "the calls' threads do not pay for freeing it";
  EXPECT_THAT(registry_.Collect(now_), IsEmpty()) << "the version is still there";
  EXPECT_TRUE(watched.expired());
  EXPECT_FALSE(registry_.departing());
}

TEST_F(ModelRegistryTest, AnUnloadedVersionIsUnloadingUntilItsLastCallHasEnded) {
  Load(1);
  Load(2);
  Served held = Find(2);
  EXPECT_EQ(registry_.Unload("digits", 2).state, ModelState::kUnloading);
  EXPECT_EQ(Find()->version(), 1) << "version 0 is the newest that is ready";
  EXPECT_EQ(registry_.Find("digits", 2).status().code(), absl::StatusCode::kNotFound);
  registry_.Collect(now_);
  EXPECT_EQ(StateOf(2), ModelState::kUnloading);
  held.reset();
  const std::vector<ModelEntry> gone = registry_.Collect(now_);
  ASSERT_EQ(gone.size(), 1);
  EXPECT_EQ(gone[0].version, 2);
  EXPECT_EQ(gone[0].state, ModelState::kUnloaded);
  EXPECT_EQ(registry_.List().size(), 1);
}

TEST_F(ModelRegistryTest, AVersionThatComesBackWhileItDepartsStays) {
  Load();
  Served held = Find();
  registry_.Unload("digits", 1);
  registry_.SetLoading("digits", 1);
  held.reset();
  EXPECT_THAT(registry_.Collect(now_), IsEmpty());
  EXPECT_EQ(StateOf(1), ModelState::kLoading);
}

TEST_F(ModelRegistryTest, AFailedReloadLeavesAReadyVersionReadyAndSaysWhy) {
  Load();
  const Served before = Find();
  EXPECT_EQ(registry_.SetLoading("digits", 1).state, ModelState::kReady);
  const ModelEntry entry = registry_.SetFailed("digits", 1, absl::DataLossError("cut short"));
  EXPECT_EQ(entry.state, ModelState::kReady);
  EXPECT_THAT(std::string(entry.error.message()), HasSubstr("cut short"));
  EXPECT_EQ(Find().get(), before.get());
  Load();
  EXPECT_TRUE(registry_.Versions("digits").at(1).error.ok());
}

TEST_F(ModelRegistryTest, CallsThatOutlastThePatienceFindTheBatchersClosed) {
  registry_.SetPatience(absl::Seconds(5));
  Load();
  const Served held = Find();
  registry_.Unload("digits", 1);
  registry_.Collect(now_);
  registry_.Collect(now_ + absl::Seconds(4));
  EXPECT_FALSE(Drains(held));
  registry_.Collect(now_ + absl::Seconds(5));
  EXPECT_TRUE(Drains(held));
  EXPECT_EQ(StateOf(1), ModelState::kUnloading);
}

TEST_F(ModelRegistryTest, WhatWasNeverReadyIsGoneAtOnce) {
  registry_.SetLoading("digits", 1);
  registry_.SetFailed("digits", 2, absl::DataLossError("cut short"));
  EXPECT_EQ(registry_.Unload("digits", 1).state, ModelState::kUnloaded);
  EXPECT_EQ(registry_.Unload("digits", 2).state, ModelState::kUnloaded);
  EXPECT_THAT(registry_.List(), IsEmpty());
  EXPECT_FALSE(registry_.Serves("digits"));
}

}  // namespace
}  // namespace glowworm
