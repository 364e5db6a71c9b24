#include "server/out_of_resources.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "absl/strings/string_view.h"

namespace glowworm {
namespace {

constexpr int kCannotServe = 1;
constexpr absl::string_view kNoMemory = "glowworm-server: there is not enough memory\n";
constexpr absl::string_view kNoThread = "glowworm-server: no thread is to be had\n";

std::atomic<bool> installed{false};
thread_local bool may_run_out = false;

[[noreturn]] void End(absl::string_view line) {  // allocates nothing
  (void)!write(STDERR_FILENO, line.data(), line.size());
  _exit(kCannotServe);
}

void OnNoMemory() {
  if (may_run_out) throw std::bad_alloc();
  End(kNoMemory);
}

[[noreturn]] void OnUncaught() {
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    End(kNoMemory);
  } catch (const std::system_error&) {  // of std::thread
    End(kNoThread);
  } catch (...) {
  }
  std::abort();
}

}  // namespace

void EndWhenOutOfResources() {
  installed = true;
  std::set_new_handler(OnNoMemory);
  std::set_terminate(OnUncaught);
}

void OnNoThread() {
  if (installed && !may_run_out) End(kNoThread);
}

MayRunOut::MayRunOut() { may_run_out = true; }
MayRunOut::~MayRunOut() { may_run_out = false; }

}  // namespace glowworm
