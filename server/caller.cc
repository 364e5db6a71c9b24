#include "server/caller.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/log.h"
#include "server/token_check.h"

namespace glowworm {
namespace {

constexpr size_t kMaxName = 128;

absl::string_view View(grpc::string_ref text) { return absl::string_view(text.data(), text.size()); }

std::string TokenName(const grpc::CallbackServerContext& grpc, const Credentials& credentials) {
  std::vector<absl::string_view> authorization;
  const auto found = grpc.client_metadata().equal_range("authorization");
  for (auto it = found.first; it != found.second; ++it) authorization.push_back(View(it->second));
  return authorization.empty() ? "" : credentials.NameOf(BearerToken(authorization));
}

std::string CertificateName(const grpc::CallbackServerContext& grpc) {
  const std::vector<grpc::string_ref> names = grpc.auth_context()->GetPeerIdentity();
  return names.empty() ? "" : Sanitized(View(names[0]), kMaxName);
}

// "ipv4:127.0.0.1:5000" -> "ipv4:127.0.0.1"
std::string WithoutPort(const std::string& peer) {
  const size_t colon = peer.rfind(':');
  return colon == std::string::npos || colon < 5 ? peer : peer.substr(0, colon);
}

}  // namespace

std::string CallerOf(const grpc::CallbackServerContext& grpc, const Credentials* credentials) {
  if (credentials != nullptr && credentials->uses_tokens()) {
    const std::string name = TokenName(grpc, *credentials);
    if (!name.empty()) return absl::StrCat("token:", name);
  }
  if (credentials != nullptr && credentials->asks_for_certificates()) {
    const std::string name = CertificateName(grpc);
    if (!name.empty()) return absl::StrCat("cert:", name);
  }
  return WithoutPort(grpc.peer());
}

}  // namespace glowworm
