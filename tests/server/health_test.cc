// What each listener is told of the server's health, and when.

#include "server/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace glowworm {
namespace {

class FakeListener : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& service, bool serving) override { told[service] = serving; }
  void SetServingStatus(bool serving) override { told[""] = serving; }

  std::map<std::string, bool> told;
};

TEST(Health, AtFirstOnlyTheProcessIsAlive) {
  Health health;
  FakeListener listener;
  health.AddListener(&listener);
  EXPECT_EQ(listener.told, (std::map<std::string, bool>{
                               {"", false}, {"readiness", false}, {"startup", false}, {"liveness", true}}));
}

TEST(Health, ReadinessIsTheServersOwn) {
  Health health;
  FakeListener listener;
  health.AddListener(&listener);
  health.SetReady(true);
  EXPECT_TRUE(listener.told[""]);
  EXPECT_TRUE(listener.told["readiness"]);
  EXPECT_FALSE(listener.told["startup"]);
}

TEST(Health, AListenerThatComesLaterLearnsWhatWasSaid) {
  Health health;
  health.SetModel("digits", true);
  health.SetStarted();
  FakeListener listener;
  health.AddListener(&listener);
  EXPECT_TRUE(listener.told["digits"]);
  EXPECT_TRUE(listener.told["startup"]);
}

TEST(Health, ShutdownIsForGoodAndLeavesTheProcessAlive) {
  Health health;
  FakeListener listener;
  health.AddListener(&listener);
  health.SetReady(true);
  health.SetModel("digits", true);
  health.Shutdown();
  health.SetReady(true);
  health.SetModel("digits", true);
  health.SetModel("late", true);
  EXPECT_FALSE(listener.told[""]);
  EXPECT_FALSE(listener.told["digits"]);
  EXPECT_EQ(listener.told.count("late"), 0u);
  EXPECT_TRUE(listener.told["liveness"]);
}

TEST(Health, AModelNamedLikeAProbeDoesNotAnswerForIt) {
  Health health;
  FakeListener listener;
  health.AddListener(&listener);
  health.SetModel("liveness", false);
  health.SetModel("readiness", true);
  health.SetModel("startup", true);
  EXPECT_EQ(listener.told, (std::map<std::string, bool>{
                               {"", false}, {"readiness", false}, {"startup", false}, {"liveness", true}}));
}

TEST(Health, OnlyTheWatchdogEndsLiveness) {
  Health health;
  FakeListener listener;
  health.AddListener(&listener);
  health.Shutdown();
  health.SetLive(false);
  EXPECT_FALSE(listener.told["liveness"]);
}

}  // namespace
}  // namespace glowworm
