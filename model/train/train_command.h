// glowworm-train without its main(): from a Config to a served flow and what a person reads of it. Only
// entry: TrainCommand(). Tested by tests/e2e/train_test.py.

#ifndef GLOWWORM_MODEL_TRAIN_TRAIN_COMMAND_H_
#define GLOWWORM_MODEL_TRAIN_TRAIN_COMMAND_H_

#include <cstdio>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "model/train/config.h"

namespace glowworm {
namespace train {

// What the command meets outside of itself.
struct Console {
  std::FILE* out = stdout;
  bool terminal = false;
  std::function<double()> now_seconds;    // a clock that only goes forward
  std::function<std::string()> now_date;  // "2026-01-31", UTC
  std::function<bool()> stop_requested;
};

// In --out: flow.safetensors at the end; training.jsonl, training.svg and training.checkpoint meanwhile, the
// last removed at the end. Cancelled after a stop was requested, with the checkpoint saved;
// FailedPrecondition if training blew up; Internal if the serving library disagrees; any other failure is of
// the input or of the output.
absl::Status TrainCommand(const Config& config, const Console& console);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAIN_COMMAND_H_
