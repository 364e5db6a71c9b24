// pthread_create for all that is linked to the server's binary: tells of threads that do not start, which
// gRPC's callers of it keep to themselves. See out_of_resources.h. Tested by tests/e2e/faults_test.py.

#include <dlfcn.h>
#include <pthread.h>

#include "server/out_of_resources.h"

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  const int error = real(thread, attributes, run, argument);
  if (error != 0) glowworm::OnNoThread();
  return error;
}
