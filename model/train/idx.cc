// ParseIdx().

#include "model/train/idx.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/array.h"

namespace glowworm {
namespace train {
namespace {

constexpr size_t kMagicBytes = 4;      // 0, 0, the type, the number of dimensions
constexpr size_t kDimensionBytes = 4;  // of each
constexpr unsigned char kUnsignedByte = 0x08;

uint32_t ByteAt(absl::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }

// Null for none of the format's.
const char* TypeName(uint32_t type) {
  switch (type) {
    case kUnsignedByte:
      return "unsigned byte";
    case 0x09:
      return "signed byte";
    case 0x0B:
      return "int16";
    case 0x0C:
      return "int32";
    case 0x0D:
      return "float32";
    case 0x0E:
      return "float64";
    default:
      return nullptr;
  }
}

}  // namespace

bool LooksLikeIdx(absl::string_view bytes) {
  return bytes.size() >= kMagicBytes && ByteAt(bytes, 0) == 0 && ByteAt(bytes, 1) == 0 &&
         TypeName(ByteAt(bytes, 2)) != nullptr;
}

absl::StatusOr<IdxArray> ParseIdx(absl::string_view bytes) {
  if (!LooksLikeIdx(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an IDX file, which begins with \\x00\\x00\\x08, got \"",
                     absl::CHexEscape(bytes.substr(0, kMagicBytes)), "\""));
  }
  if (ByteAt(bytes, 2) != kUnsignedByte) {
    return absl::InvalidArgumentError(
        absl::StrCat("IDX values of type ", TypeName(ByteAt(bytes, 2)), "; only unsigned bytes are read"));
  }
  const uint32_t dimensions = ByteAt(bytes, 3);
  if (dimensions < 1 || dimensions > kMaxIdxDimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat("an IDX array of ", dimensions, " dimensions; expected 1 to ", kMaxIdxDimensions));
  }
  const size_t header = kMagicBytes + dimensions * kDimensionBytes;
  if (bytes.size() < header) return absl::InvalidArgumentError("the IDX header is cut short");
  IdxArray array;
  for (size_t at = kMagicBytes; at < header; at += kDimensionBytes) {
    array.shape.push_back(int64_t{ByteAt(bytes, at) << 24 | ByteAt(bytes, at + 1) << 16 |
                                  ByteAt(bytes, at + 2) << 8 | ByteAt(bytes, at + 3)});
  }
  array.values = bytes.substr(header);
  const int64_t values = client::Product(array.shape);
  if (values != static_cast<int64_t>(array.values.size())) {
    return absl::InvalidArgumentError(absl::StrCat("an IDX array of shape ", client::ShapeText(array.shape),
                                                   " does not fit the ", array.values.size(),
                                                   " bytes after its header"));
  }
  return array;
}

}  // namespace train
}  // namespace glowworm
