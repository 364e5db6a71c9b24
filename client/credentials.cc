#include "client/credentials.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;
constexpr size_t kMaxTokenBytes = 512;

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes(max_bytes + 1, '\0');
  if (!file || (!file.read(&bytes[0], static_cast<std::streamsize>(bytes.size())) && !file.eof())) {
    const char* why = errno == 0 ? "an unknown reason" : std::strerror(errno);
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read: ", why));
  }
  bytes.resize(static_cast<size_t>(file.gcount()));
  if (bytes.size() > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected at most ", max_bytes, " bytes"));
  }
  return bytes;
}

// gRPC says nothing of a file that is not what it should be; the handshakes fail, and nobody knows why.
absl::Status ReadPem(const std::string& path, absl::string_view kind, std::string* out) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPemBytes);
  if (!bytes.ok()) return bytes.status();
  if (!absl::StrContains(*bytes, "-----BEGIN ") || !absl::StrContains(*bytes, absl::StrCat(kind, "-----"))) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected a ", absl::AsciiStrToLower(kind), " in PEM form"));
  }
  *out = *std::move(bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxTokenBytes + 2);
  if (!bytes.ok()) return bytes.status();
  const absl::string_view token = absl::StripAsciiWhitespace(*bytes);
  if (token.empty() || !std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected one token of printable characters, and nothing else"));
  }
  return std::string(token);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("expected both a certificate and its key, or neither");
  }
  grpc::SslCredentialsOptions options;
  absl::Status status = ReadPem(files.ca, "CERTIFICATE", &options.pem_root_certs);
  if (status.ok()) status = ReadPem(files.cert, "CERTIFICATE", &options.pem_cert_chain);
  if (status.ok()) status = ReadPem(files.key, "PRIVATE KEY", &options.pem_private_key);
  if (!status.ok()) return status;
  return grpc::SslCredentials(options);
}

bool IsLoopback(absl::string_view address) {
  const std::string host(address.substr(0, address.rfind(':')));
  if (host == "localhost" || host == "[::1]") return true;
  in_addr ip;
  return inet_pton(AF_INET, host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(std::string path) {
  absl::StatusOr<std::string> token = ReadToken(path);
  if (!token.ok()) return token.status();
  return std::unique_ptr<TokenFile>(new TokenFile(std::move(path), *std::move(token)));
}

std::string TokenFile::Authorization() {
  absl::StatusOr<std::string> read = ReadToken(path_);
  std::lock_guard<std::mutex> lock(mutex_);
  if (read.ok()) token_ = *std::move(read);
  return absl::StrCat("Bearer ", token_);
}

}  // namespace client
}  // namespace glowworm
