// ReadStoredFile(): bytes, hash, gzip, format; in this order.

#include "model/train/stored_file.h"

#include <openssl/evp.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/npy.h"
#include "model/regular_file.h"
#include "model/train/gzip.h"
#include "model/train/idx.h"

namespace glowworm {
namespace train {
namespace {

constexpr char kGzipEnding[] = ".gz";

absl::StatusOr<std::string> ReadBytes(const std::string& path) {
  std::error_code error;
  // A link to a data file is fine: ReadRegularFile() gets what it leads to.
  std::filesystem::path file = std::filesystem::canonical(path, error);
  if (error) file = path;
  if (std::filesystem::is_directory(file, error))
    return absl::InvalidArgumentError("a folder, expected a file");
  absl::StatusOr<std::string> bytes = ReadRegularFile(file.string(), kMaxStoredBytes);
  if (!bytes.ok()) return absl::InvalidArgumentError(bytes.status().message());
  if (bytes->empty()) return absl::InvalidArgumentError("the file is empty");
  return bytes;
}

absl::StatusOr<std::string> Sha256(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("SHA-256 is not available");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<FileFormat> FormatOf(absl::string_view name, absl::string_view content) {
  if (absl::EndsWithIgnoreCase(name, kGzipEnding)) name.remove_suffix(sizeof(kGzipEnding) - 1);
  if (absl::EndsWithIgnoreCase(name, ".npy")) return FileFormat::kNpy;
  if (absl::EndsWithIgnoreCase(name, ".csv")) return FileFormat::kCsv;
  if (absl::StartsWith(content, absl::string_view(client::kNpyMagic, client::kNpyMagicSize))) {
    return FileFormat::kNpy;
  }
  if (LooksLikeIdx(content)) return FileFormat::kIdx;
  return absl::InvalidArgumentError(
      "expected a .npy, .csv or IDX file; the name ends otherwise and the first bytes are of no .npy or IDX "
      "file");
}

absl::Status Fill(const std::string& path, StoredFile* file) {
  absl::StatusOr<std::string> bytes = ReadBytes(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::string> sha256 = Sha256(*bytes);
  if (!sha256.ok()) return sha256.status();
  file->sha256 = *std::move(sha256);
  if (absl::EndsWithIgnoreCase(file->name, kGzipEnding) || LooksGzipped(*bytes)) {
    bytes = Gunzip(*bytes, kMaxGunzippedBytes);
    if (!bytes.ok()) return bytes.status();
    if (bytes->empty()) return absl::InvalidArgumentError("the file is empty once decompressed");
  }
  absl::StatusOr<FileFormat> format = FormatOf(file->name, *bytes);
  if (!format.ok()) return format.status();
  file->format = *format;
  file->content = *std::move(bytes);
  return absl::OkStatus();
}

}  // namespace

std::string FileName(absl::string_view path) {
  return std::filesystem::path(std::string(path)).filename().string();
}

absl::Status InFile(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

absl::StatusOr<StoredFile> ReadStoredFile(const std::string& path) {
  StoredFile file;
  file.name = FileName(path);
  absl::Status status = Fill(path, &file);
  if (!status.ok()) return InFile(file.name, status);
  return file;
}

}  // namespace train
}  // namespace glowworm
