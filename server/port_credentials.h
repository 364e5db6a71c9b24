// PortCredentials: grpc::ServerCredentials of a listener that checks each call's headers before it reads the
// call's payload, in plaintext or over TLS with certificates that can be replaced.
//
// They stand on gRPC's C core (grpc/grpc_security.h), which can do two things that C++ of gRPC 1.51 offers no
// way to: check calls on a plaintext port, and ask for the certificate at each handshake. Tested by
// tests/server/credentials_test.cc and tests/e2e/security_test.py.

#ifndef GLOWWORM_SERVER_PORT_CREDENTIALS_H_
#define GLOWWORM_SERVER_PORT_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "server/latest.h"
#include "server/tls_material.h"
#include "server/token_check.h"

namespace glowworm {

// Whether a call goes on; its status ends one that does not. Runs on gRPC's threads, for each call; must not
// block.
using CallCheck = std::function<absl::Status(const CallHeaders& headers)>;

std::shared_ptr<grpc::ServerCredentials> PlaintextCredentials(CallCheck check);

// TLS 1.2 or newer. Each handshake uses the latest material; connections that stand keep what they have.
// With a client_ca in the first material, clients must show a certificate that the latest one's signs.
// `check` may be null. REQUIRES: *material has a value.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(std::shared_ptr<const Latest<TlsMaterial>> material,
                                                        CallCheck check);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_PORT_CREDENTIALS_H_
