// StopRequest: SIGINT and SIGTERM as a flag that the training reads after each step. Tested by
// tests/model/train/stop_request_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_STOP_REQUEST_H_
#define GLOWWORM_MODEL_TRAIN_STOP_REQUEST_H_

#include <signal.h>

namespace glowworm {
namespace train {

// While it lives the first SIGINT and any SIGTERM only set the flag; a second SIGINT ends the process at
// once. SIGTERM may come twice: timeout(1) sends it to the process and to its group.
//
//   const StopRequest stop;
//   while (Step() && !stop.requested()) {}
//
// REQUIRES: no other one lives. requested() may be called from any thread.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();  // the handlers are again what they were
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  bool requested() const;

 private:
  struct sigaction old_interrupt_;
  struct sigaction old_terminate_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_STOP_REQUEST_H_
