// IdleThread: where its work runs.

#include "server/idle_thread.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <set>
#include <thread>

namespace glowworm {
namespace {

TEST(IdleThread, RunsAllWorkOnOneThreadOfIdlePriorityAndWaitsForIt) {
  IdleThread thread;
  std::set<std::thread::id> ids;
  for (int i = 0; i < 3; ++i) {
    int policy = -1;
    thread.Run([&] {
      policy = sched_getscheduler(0);
      ids.insert(std::this_thread::get_id());
    });
    EXPECT_EQ(policy, SCHED_IDLE);
  }
  EXPECT_EQ(ids.size(), 1);
  EXPECT_EQ(ids.count(std::this_thread::get_id()), 0);
  EXPECT_NE(sched_getscheduler(0), SCHED_IDLE) << "the caller's own priority stays";
}

TEST(IdleThread, EndsWithoutHavingHadWork) { IdleThread thread; }

}  // namespace
}  // namespace glowworm
