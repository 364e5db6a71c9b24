// What becomes of the process when memory or threads run out: a load of a model fails by itself, anything
// else ends the process with a line and 1. gRPC 1.51 lives through both and loses work: it swallows what
// callbacks throw, also from the middle of its own, and leaves what waits for a thread that did not start;
// either way connections are never written to again. Tested by tests/e2e/faults_test.py.

#ifndef GLOWWORM_SERVER_OUT_OF_RESOURCES_H_
#define GLOWWORM_SERVER_OUT_OF_RESOURCES_H_

namespace glowworm {

// From now on `new` never throws and, in the server's binary (thread_start.cc), pthread_create never fails,
// but under MayRunOut. An exception that nobody catches ends the process too, and dumps only if it is of
// something else.
void EndWhenOutOfResources();

// While one lives, its thread is told of what it cannot have, as usual. Not to be nested.
class MayRunOut {
 public:
  MayRunOut();
  ~MayRunOut();
  MayRunOut(const MayRunOut&) = delete;
  MayRunOut& operator=(const MayRunOut&) = delete;
};

// This thread could not start another.
void OnNoThread();

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_OUT_OF_RESOURCES_H_
