// How ModelRepository follows its folder after the start: by polling, and by calls.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "tests/server/repository_testing.h"
#include "tests/testing/fake_clock.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Served = std::shared_ptr<const ServedModel>;

constexpr absl::Duration kInterval = absl::Seconds(5);

// Everything happens on the repository's thread while a test waits for it, so that the two take turns.
class PollTest : public RepositoryTest {
 protected:
  PollTest() {
    options_.mode = RepositoryMode::kPoll;
    options_.poll_interval = kInterval;
    options_.clock = &clock_;
  }
  ~PollTest() override { repository_.reset(); }  // before the clock goes

  void StartPolling() {
    Start(LoaderOfContents());
    next_ = clock_.Now() + kInterval;
    clock_.AwaitWaiter(next_);
  }
  // Returns when the repository has done all that the poll asks for. REQUIRES: nobody holds a model that
  // goes.
  void Poll() {
    clock_.Advance(kInterval);
    next_ += kInterval;
    clock_.AwaitWaiter(next_);
  }
  void SetPolicy(const char* text) { options_.policy = *ParseVersionPolicy(text); }
  Served Find(int64_t version = 0) { return *registry().Find("digits", version); }

  FakeClock clock_;
  absl::Time next_;
};

TEST_F(PollTest, LoadsWhatIsNewAndUnloadsWhatIsGone) {
  PutModel("digits", "1");
  StartPolling();
  PutModel("digits", "2");
  PutModel("thyroid", "1");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 READY", "thyroid/1 READY"));
  EXPECT_EQ(Find()->version(), 2);
  fs::remove_all(root_ / "digits" / "1");
  fs::remove_all(root_ / "thyroid");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/2 READY"));
  EXPECT_THAT(loads_, ElementsAre("digits/1", "digits/2", "thyroid/1")) << "nothing is loaded twice";
}

TEST_F(PollTest, LatestMovesOnWhenTheNewVersionIsReady) {
  SetPolicy("latest:1");
  PutModel("digits", "1");
  StartPolling();
  PutModel("digits", "2", "bad");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 FAILED"));
  PutModel("digits", "3");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/3 READY"));
}

TEST_F(PollTest, LatestKeepsAsManyReadyAsItWants) {
  SetPolicy("latest:2");
  for (const char* version : {"1", "2"}) PutModel("digits", version);
  StartPolling();
  PutModel("digits", "3", "bad");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 READY", "digits/3 FAILED"));
  PutModel("digits", "4");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/2 READY", "digits/3 FAILED", "digits/4 READY"));
}

TEST_F(PollTest, AnOldVersionOfTheFolderGoesOnlyOnceItsReplacementIsReady) {
  PutModel("digits", "1");
  StartPolling();
  fs::remove_all(root_ / "digits" / "1");
  PutModel("digits", "2", "bad");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 FAILED"));
  PutModel("digits", "2");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/2 READY"));
}

TEST_F(PollTest, AFileThatChangedInItsPlaceTakesOver) {
  PutModel("digits", "1");
  StartPolling();
  const std::weak_ptr<const ServedModel> before = Find(1);
  PutModel("digits", "1", "another");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
  EXPECT_TRUE(before.expired());
  EXPECT_NE(Find(1), nullptr);
}

TEST_F(PollTest, ABadFileInItsPlaceLeavesTheOldOneServingAndIsTriedAgainWhenItChanges) {
  PutModel("digits", "1");
  StartPolling();
  const ServedModel* const before = Find(1).get();
  PutModel("digits", "1", "bad");
  for (int i = 0; i < 3; ++i) Poll();
  EXPECT_EQ(Find(1).get(), before);
  EXPECT_THAT(std::string(registry().Describe("digits", 1)->error.message()), HasSubstr("it is bad"));
  EXPECT_EQ(loads_.size(), 2) << "a file that stays as it is is not tried again";
  PutModel("digits", "1", "good");
  Poll();
  EXPECT_NE(Find(1).get(), before);
  EXPECT_TRUE(registry().Describe("digits", 1)->error.ok());
}

TEST_F(PollTest, AFailedVersionIsTriedAgainOnlyWhenItsFileChanges) {
  PutModel("digits", "1", "bad");
  StartPolling();
  for (int i = 0; i < 3; ++i) Poll();
  EXPECT_EQ(loads_.size(), 1);
  PutModel("digits", "1");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(PollTest, AFileThatIsStillBeingWrittenFailsNowAndIsTriedAgain) {
  PutModel("digits", "1");
  bool writing = true;
  Start([&](const std::string& name, int64_t version, const std::string& path) -> Loaded {
    if (writing) std::ofstream(path, std::ios::app) << "more";
    return Serve(name, version);
  });
  next_ = clock_.Now() + kInterval;
  clock_.AwaitWaiter(next_);
  EXPECT_THAT(States(), ElementsAre("digits/1 FAILED"));
  EXPECT_THAT(std::string(registry().Find("digits", 1).status().message()), HasSubstr("still being written"));
  writing = false;
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(PollTest, AFailureThatIsNoFaultOfTheFileIsTriedAgainAtTheNextPoll) {
  PutModel("digits", "1");
  int loads = 0;
  Start([&](const std::string& name, int64_t version, const std::string&) -> Loaded {
    if (++loads == 1) return absl::ResourceExhaustedError("no memory");
    if (loads == 2) return absl::UnavailableError("too many open files");
    return Serve(name, version);
  });
  next_ = clock_.Now() + kInterval;
  clock_.AwaitWaiter(next_);
  EXPECT_THAT(States(), ElementsAre("digits/1 FAILED"));
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 FAILED"));
  for (int i = 0; i < 2; ++i) Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
  EXPECT_EQ(loads, 3);
}

TEST_F(PollTest, AFileThatWasAwayWhileItWasToBeReadIsTriedAgainWhenItIsBack) {
  PutModel("digits", "1");
  bool away = true;
  Start([&](const std::string& name, int64_t version, const std::string& path) -> Loaded {
    if (!away) return Serve(name, version);
    fs::rename(root_, root_.string() + ".away");
    std::ifstream file(path);
    return file.good() ? Serve(name, version) : absl::NotFoundError("the file does not exist");
  });
  next_ = clock_.Now() + kInterval;
  clock_.AwaitWaiter(next_);
  EXPECT_THAT(States(), ElementsAre("digits/1 FAILED"));
  fs::rename(root_.string() + ".away", root_);
  away = false;
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(PollTest, AFolderWithoutItsFileKeepsWhatItServed) {
  PutModel("digits", "1");
  StartPolling();
  fs::remove(root_ / "digits" / "1" / "flow.safetensors");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(PollTest, ARootThatCannotBeReadOrIsEmptyUnloadsNothing) {
  PutModel("digits", "1");
  StartPolling();
  fs::rename(root_, root_.string() + ".away");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY")) << "no root";
  fs::create_directory(root_);
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY")) << "nothing in it";
  fs::remove(root_);
  fs::rename(root_.string() + ".away", root_);
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
  EXPECT_EQ(loads_.size(), 1);
}

TEST_F(PollTest, AModelsFolderThatCannotBeReadUnloadsNothing) {
  PutModel("digits", "1");
  PutModel("other", "1");
  StartPolling();
  fs::rename(root_ / "digits", root_ / ".digits");
  fs::create_symlink("nowhere", root_ / "digits");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/0 FAILED", "digits/1 READY", "other/1 READY"));
  fs::remove(root_ / "digits");
  fs::rename(root_ / ".digits", root_ / "digits");
  Poll();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "other/1 READY"));
}

TEST_F(PollTest, AVersionThatCallsHoldIsUnloadingUntilTheyEnd) {
  for (const char* version : {"1", "2"}) PutModel("digits", version);
  StartPolling();
  Served held = Find(1);
  fs::remove_all(root_ / "digits" / "1");
  clock_.Advance(kInterval);
  clock_.AwaitWaiter(clock_.Now() + absl::Milliseconds(20));  // it looks again soon
  EXPECT_THAT(States(), ElementsAre("digits/1 UNLOADING", "digits/2 READY"));
  held.reset();
  clock_.Advance(absl::Milliseconds(20));
  clock_.AwaitWaiter(next_ + kInterval);
  EXPECT_THAT(States(), ElementsAre("digits/2 READY"));
}

TEST_F(PollTest, LoadAndUnloadAreOfExplicitModeAlone) {
  PutModel("digits", "1");
  StartPolling();
  absl::Status loaded, unloaded;
  repository_->Load("digits", 0, [&](absl::Status status) { loaded = std::move(status); });
  repository_->Unload("digits", 0, [&](absl::Status status) { unloaded = std::move(status); });
  EXPECT_EQ(loaded.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(unloaded.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PollTest, FixedModeReadsTheFolderOnce) {
  options_.mode = RepositoryMode::kFixed;
  SetPolicy("latest:1");
  for (const char* version : {"1", "2"}) PutModel("digits", version);
  Start(LoaderOfContents());
  EXPECT_TRUE(repository_->WaitUntilLoaded());
  clock_.AwaitWaiter(absl::InfiniteFuture());
  EXPECT_THAT(States(), ElementsAre("digits/2 READY"));
}

class ExplicitTest : public RepositoryTest {
 protected:
  ExplicitTest() {
    options_.mode = RepositoryMode::kExplicit;
    options_.patience = absl::InfiniteDuration();
    PutModel("digits", "1");
  }

  void StartServing() {
    Start(LoaderOfContents());
    ASSERT_TRUE(repository_->WaitUntilLoaded());
  }
  using Answer = std::future<absl::Status>;
  Answer LoadSoon(const std::string& name, int64_t version = 0) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    repository_->Load(name, version, [promise](absl::Status s) { promise->set_value(std::move(s)); });
    return promise->get_future();
  }
  Answer UnloadSoon(const std::string& name, int64_t version = 0) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    repository_->Unload(name, version, [promise](absl::Status s) { promise->set_value(std::move(s)); });
    return promise->get_future();
  }
  absl::Status Load(const std::string& name, int64_t version = 0) { return LoadSoon(name, version).get(); }
  absl::Status Unload(const std::string& name, int64_t version = 0) {
    return UnloadSoon(name, version).get();
  }
};

TEST_F(ExplicitTest, StartsWithWhatThePolicyServesAndThenWaitsForCalls) {
  StartServing();
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
  PutModel("digits", "2");
  EXPECT_TRUE(Load("digits").ok());
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 READY"));
  EXPECT_TRUE(Unload("digits", 1).ok());
  EXPECT_THAT(States(), ElementsAre("digits/2 READY"));
  EXPECT_TRUE(Unload("digits").ok());
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_TRUE(Load("digits", 1).ok());
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(ExplicitTest, ALoadOfWhatIsReadyAndUnchangedDoesNothing) {
  StartServing();
  EXPECT_TRUE(Load("digits").ok());
  EXPECT_TRUE(Load("digits", 1).ok());
  EXPECT_EQ(loads_.size(), 1);
  PutModel("digits", "1", "another");
  EXPECT_TRUE(Load("digits").ok());
  EXPECT_EQ(loads_.size(), 2);
}

TEST_F(ExplicitTest, ALoadThatFailsSaysWhyAndTheOldVersionGoesOn) {
  options_.policy = *ParseVersionPolicy("latest:1");
  StartServing();
  PutModel("digits", "2", "bad");
  const absl::Status status = Load("digits");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(status.message()), "model 'digits' version 2 failed to load: it is bad");
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 FAILED"));
  EXPECT_FALSE(Load("digits", 2).ok()) << "who asks again gets another try";
  EXPECT_EQ(loads_.size(), 3);
}

TEST_F(ExplicitTest, KnowsWhatIsNotThere) {
  StartServing();
  for (const absl::Status& status : {Load("nope"), Load("digits", 9), Unload("nope"), Unload("digits", 9)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  }
  fs::create_directories(root_ / "hollow" / "1");
  EXPECT_EQ(Load("hollow").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Load("hollow", 1).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(States(), ElementsAre("digits/1 READY"));
}

TEST_F(ExplicitTest, AnUnloadIsOverWhenTheLastCallIs) {
  StartServing();
  Served held = *registry().Find("digits", 1);
  Answer unload = UnloadSoon("digits");
  while (CodeOf("digits") == absl::StatusCode::kOk) std::this_thread::yield();
  EXPECT_THAT(States(), ElementsAre("digits/1 UNLOADING"));
  EXPECT_EQ(Load("digits", 9).code(), absl::StatusCode::kNotFound);  // others are not held up
  EXPECT_EQ(unload.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  held.reset();
  EXPECT_TRUE(unload.get().ok());
  EXPECT_THAT(States(), IsEmpty());
}

TEST_F(ExplicitTest, LoadsOfOneModelComeOneAfterTheOther) {
  std::atomic<int> running{0}, most{0};
  Start([&](const std::string& name, int64_t version, const std::string&) -> Loaded {
    most = std::max(most.load(), ++running);
    Loaded out = Serve(name, version);
    --running;
    return out;
  });
  ASSERT_TRUE(repository_->WaitUntilLoaded());
  for (const char* version : {"2", "3"}) PutModel("digits", version);
  std::vector<std::thread> callers;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] { good += Load("digits", i % 3 == 0 ? 0 : i % 3 + 1).ok() ? 1 : 0; });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(most, 1);
  EXPECT_THAT(States(), ElementsAre("digits/1 READY", "digits/2 READY", "digits/3 READY"));
}

TEST_F(ExplicitTest, EveryCallIsAnsweredWhenTheServerStopsDuringALoad) {
  absl::Notification begun, go_on;
  bool first = true;
  Start([&](const std::string& name, int64_t version, const std::string&) -> Loaded {
    if (!first) {
      begun.Notify();  // a third load would abort here
      go_on.WaitForNotification();
    }
    first = false;
    return Serve(name, version);
  });
  ASSERT_TRUE(repository_->WaitUntilLoaded());
  Served held = *registry().Find("digits", 1);
  PutModel("digits", "2");
  PutModel("digits", "3");
  Answer unload = UnloadSoon("digits", 1), load = LoadSoon("digits", 2), next = LoadSoon("digits", 3);
  begun.WaitForNotification();
  repository_->StopLoading();
  Answer late = LoadSoon("digits", 3);
  go_on.Notify();
  repository_->JoinLoader();
  for (Answer* answer : {&unload, &load, &next, &late}) {
    EXPECT_EQ(answer->get().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(registry().InUse().size(), 1) << "what calls hold is still there to be drained";
}

TEST_F(ExplicitTest, TheIndexHasWhatIsNotLoadedToo) {
  StartServing();
  PutModel("digits", "2");
  const auto index = *repository_->Index();
  ASSERT_EQ(index.size(), 2);
  EXPECT_EQ(index[0].state, ModelState::kReady);
  EXPECT_EQ(index[1].version, 2);
  EXPECT_EQ(index[1].state, ModelState::kUnloaded);
}

}  // namespace
}  // namespace glowworm
