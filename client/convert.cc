// grpc::Status -> absl::Status: the codes have the same numbers, and a payload remembers where the status
// came from.

#include "client/convert.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {
constexpr char kRpcPayload[] = "glowworm.v1/rpc";
}  // namespace

absl::Status ToAbsl(const grpc::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message =
      what.empty() ? status.error_message() : absl::StrCat("in ", what, ": ", status.error_message());
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), message);
  result.SetPayload(kRpcPayload, absl::Cord());
  return result;
}

bool FromServer(const absl::Status& status) { return status.GetPayload(kRpcPayload).has_value(); }

}  // namespace client
}  // namespace glowworm
