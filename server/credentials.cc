#include "server/credentials.h"

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/secret_file.h"
#include "server/token_check.h"

namespace glowworm {
namespace {

bool Same(const TlsMaterial& a, const TlsMaterial& b) {
  return a.cert_chain == b.cert_chain && a.private_key == b.private_key && a.client_ca == b.client_ca;
}

void Tell(const TlsMaterial& material) {
  LogInfo(absl::StrCat("credentials loaded what=tls not_after=",
                       absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", material.not_after, absl::UTCTimeZone()),
                       " client_certificates=", material.client_ca.empty() ? "no" : "required"));
  if (material.not_after < absl::Now()) LogWarning("credentials what=tls: the certificate has expired");
  if (material.key_readable_by_all) LogWarning("credentials what=tls: everybody may read the key's file");
}

// Counts a file that is bad, and tells of it unless that has been told.
void Note(const char* what, const absl::Status& status, Metrics* metrics, std::string* told) {
  if (status.ok()) {
    told->clear();
    return;
  }
  metrics->CredentialsKept(what);
  if (*told == status.message()) return;
  *told = std::string(status.message());
  LogError(absl::StrCat("credentials kept what=", what, " error=", LogText(status.message())));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Credentials>> Credentials::Create(const ServerOptions& options,
                                                                 Metrics* metrics) {
  std::unique_ptr<Credentials> out(new Credentials(options, metrics));
  absl::Status status = out->ReadTls();
  if (status.ok()) status = out->ReadTokens();
  if (!status.ok()) return status;
  if (out->tls_paths_.cert.empty() && !out->uses_tokens()) return out;  // nothing to poll
  try {
    out->poller_ = std::thread([credentials = out.get()] { credentials->Poll(); });
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the thread that reads the credentials could not be started");
  }
  return out;
}

Credentials::Credentials(const ServerOptions& options, Metrics* metrics)
    : tls_paths_({options.tls_cert, options.tls_key, options.tls_client_ca}),
      token_path_(options.tokens),
      interval_(options.credentials_poll),
      metrics_(metrics) {}

Credentials::~Credentials() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (poller_.joinable()) poller_.join();
}

absl::Status Credentials::ReadTls() {
  if (tls_paths_.cert.empty()) return absl::OkStatus();
  absl::StatusOr<TlsMaterial> read = ReadTlsMaterial(tls_paths_);
  if (!read.ok()) return read.status();
  const std::shared_ptr<const TlsMaterial> now = tls_->Get();
  if (now != nullptr && Same(*now, *read)) return absl::OkStatus();
  const auto taken = std::make_shared<const TlsMaterial>(*std::move(read));
  tls_->Set(taken);  // before it is told, so that who reads the line finds it so
  metrics_->SetCertificateEnd(taken->not_after);
  Tell(*taken);
  return absl::OkStatus();
}

absl::Status Credentials::ReadTokens() {
  if (!uses_tokens()) return absl::OkStatus();
  const absl::StatusOr<SecretFile> file = ReadSecretFile(token_path_, kMaxTokenFileBytes);
  if (!file.ok()) {
    return absl::Status(file.status().code(), absl::StrCat("--tokens: ", file.status().message()));
  }
  absl::StatusOr<TokenTable> read = TokenTable::Parse(file->bytes);
  if (!read.ok()) {
    return absl::Status(read.status().code(), absl::StrCat("--tokens: ", read.status().message()));
  }
  const std::shared_ptr<const TokenTable> now = tokens_->Get();
  if (now != nullptr && *now == *read) return absl::OkStatus();
  const auto taken = std::make_shared<const TokenTable>(*std::move(read));
  tokens_->Set(taken);
  LogInfo(absl::StrCat("credentials loaded what=tokens count=", taken->size()));
  if (file->readable_by_all) LogWarning("credentials what=tokens: everybody may read the tokens' file");
  return absl::OkStatus();
}

void Credentials::Reload() {
  MutexLock lock(&reload_mutex_);
  Note("tls", ReadTls(), metrics_, &tls_trouble_);
  Note("tokens", ReadTokens(), metrics_, &token_trouble_);
}

void Credentials::Poll() {
  while (true) {
    const absl::Time next = RealClock()->Now() + interval_;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && RealClock()->Now() < next) RealClock()->WaitUntil(&wake_, &mutex_, next);
      if (stopping_) return;
    }
    Reload();
  }
}

CallCheck Credentials::CheckFor(Role needed) const {
  if (!uses_tokens()) return nullptr;
  return [tokens = tokens_, needed, metrics = metrics_](const CallHeaders& headers) {
    const TokenVerdict verdict = CheckToken(*tokens->Get(), needed, headers);
    if (verdict != TokenVerdict::kTaken) metrics->AuthenticationRefused(ReasonOf(verdict));
    return StatusOf(verdict);
  };
}

std::shared_ptr<grpc::ServerCredentials> Credentials::For(Role needed) const {
  if (!tls_paths_.cert.empty()) return TlsCredentials(tls_, CheckFor(needed));
  return uses_tokens() ? PlaintextCredentials(CheckFor(needed)) : grpc::InsecureServerCredentials();
}

std::string Credentials::NameOf(absl::string_view token) const {
  if (!uses_tokens()) return "";
  const std::shared_ptr<const TokenTable> tokens = tokens_->Get();
  const TokenTable::Bearer* bearer = tokens->Find(token);
  return bearer == nullptr ? "" : bearer->name;
}

}  // namespace glowworm
