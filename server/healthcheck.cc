#include "server/healthcheck.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace glowworm {
namespace {

constexpr char kCheckMethod[] = "/grpc.health.v1.Health/Check";
// HealthCheckResponse{status: SERVING}: field 1, a varint, 1. No generated code for it is installed, and none
// is needed.
constexpr char kServing[] = "\x08\x01";

absl::StatusOr<std::string> AddressToAsk(const ServerOptions& options) {
  if (options.health.empty() && !options.tls_cert.empty()) {
    return absl::InvalidArgumentError(
        "--healthcheck: --listen speaks TLS, and probes need a plaintext --health");
  }
  const std::string& address = options.health.empty() ? options.listen : options.health;
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (!parsed.ok())
    return absl::InvalidArgumentError(absl::StrCat("--healthcheck: ", parsed.status().message()));
  if (parsed->port == 0) {
    return absl::InvalidArgumentError("--healthcheck: expected the port of a running server, got 0");
  }
  return address;
}

grpc::Status Ask(const std::string& address, std::string* reply) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // the server is near, whatever the environment says
  grpc::GenericStub stub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kHealthcheckTimeout));
  grpc::CompletionQueue queue;
  grpc::Slice whole_server("");  // HealthCheckRequest{service: ""}
  const auto call = stub.PrepareUnaryCall(&context, kCheckMethod, grpc::ByteBuffer(&whole_server, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer bytes;
  grpc::Status status;
  call->Finish(&bytes, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  grpc::Slice slice;
  if (status.ok()) status = bytes.DumpToSingleSlice(&slice);
  if (status.ok()) reply->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return status;
}

}  // namespace

absl::Status Healthcheck(const ServerOptions& options) {
  const absl::StatusOr<std::string> address = AddressToAsk(options);
  if (!address.ok()) return address.status();
  std::string reply;
  const grpc::Status status = Ask(*address, &reply);
  if (!status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("expected SERVING from ", *address, ", got no answer: ", status.error_message()));
  }
  if (reply != kServing) {
    return absl::UnavailableError(absl::StrCat("expected SERVING from ", *address, ", got NOT_SERVING"));
  }
  return absl::OkStatus();
}

}  // namespace glowworm
