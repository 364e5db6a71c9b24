// StopSignal: SIGTERM and SIGINT, received by a thread that waits for them, so that no code runs in a signal
// handler. Tested by tests/e2e/shutdown_test.py.

#ifndef GLOWWORM_SERVER_STOP_SIGNAL_H_
#define GLOWWORM_SERVER_STOP_SIGNAL_H_

#include <csignal>

namespace glowworm {

// Blocks both signals in this thread and all that it starts, and ignores SIGPIPE.
// REQUIRES: called before any other thread starts.
void BlockStopSignals();

// Waits for one; returns its number. REQUIRES: BlockStopSignals was called.
int WaitForStopSignal();

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_STOP_SIGNAL_H_
