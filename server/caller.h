// Who calls: what fairness counts a call under, and what the log says of it. Entry: CallerOf(). Tested by
// tests/server/credentials_test.cc.

#ifndef GLOWWORM_SERVER_CALLER_H_
#define GLOWWORM_SERVER_CALLER_H_

#include <grpcpp/server_context.h>

#include <string>

#include "server/credentials.h"

namespace glowworm {

// "token:NAME"; else "cert:NAME", the first alternative name of the client's certificate or its common name;
// else the peer's address without its port, "ipv4:127.0.0.1". `credentials` may be null.
std::string CallerOf(const grpc::CallbackServerContext& grpc, const Credentials* credentials);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CALLER_H_
