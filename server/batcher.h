// Batcher: rows of many requests -> one batch for one worker. One per model version and kind of work.
// ComputePool: the worker threads, the timer thread and the process-wide memory budget that all batchers share.
//
// No gRPC, no proto, no Flow in these files: a task's payload is opaque, and the batcher's `compute` knows it.
// Tested by tests/server/batcher_test.cc (contract, clause by clause, on a FakeClock), batcher_property_test.cc
// (split and join) and batcher_stress_test.cc (under TSan).

#ifndef GLOWWORM_SERVER_BATCHER_H_
#define GLOWWORM_SERVER_BATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/clock.h"

namespace glowworm {

// Bytes and rows taken from the budgets; given back when destroyed. Movable. The service holds it until the reply has
// been sent. (Rows leave the row budget when sealed or dropped; bytes stay until this object *and* the payload's last
// part in a running batch are gone.)
class Reservation;

// What a finished task is told, beside its status.
struct TaskTiming {
  absl::Duration queued;   // admission until its first row was sealed (or until it ended unsealed)
  absl::Duration compute;  // longest batch among those that carried its rows; zero if none
};

// One request's rows.
struct Task {
  int64_t rows = 0;   // > 0
  int64_t bytes = 0;  // inputs + outputs
  absl::Time deadline = absl::InfiniteFuture();
  std::string source;  // who asks (token, certificate or peer address), for fairness
  // Inputs and outputs. Kept alive until no batch that holds rows of it runs any more, also after `done`.
  std::shared_ptr<void> payload;
  // Runs exactly once if Schedule returned OK, never under a lock, on a worker, the timer thread or the caller of
  // Cancel or Drain: OK when every row was computed, DEADLINE_EXCEEDED, CANCELLED, or UNAVAILABLE.
  absl::AnyInvocable<void(absl::Status, TaskTiming, Reservation)> done;
};

// Consecutive rows of one task inside a batch.
struct Part {
  void* payload;
  int64_t begin;  // first row
  int64_t rows;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_BATCHER_H_
