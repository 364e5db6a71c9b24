// The server's version, as `--version`, ListModels and the metrics give it. Tested by
// tests/server/service_test.cc.

#ifndef GLOWWORM_SERVER_VERSION_H_
#define GLOWWORM_SERVER_VERSION_H_

namespace glowworm {

inline constexpr char kServerVersion[] = GLOWWORM_VERSION;  // the CMake project's

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_VERSION_H_
