// Gunzip() by zlib's inflate, member after member.

#include "model/train/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace train {
namespace {

constexpr char kMagic[] = "\x1f\x8b";
constexpr int kGzipOnly = 16;           // added to the window's size: neither raw nor zlib streams
constexpr size_t kPiece = 64 << 10;     // bytes inflated at a time
constexpr size_t kMaxFeed = 1 << 30;    // bytes given to zlib at a time; its counts have 32 bits
constexpr size_t kMaxExpansion = 1032;  // of deflate: content bytes to a byte
constexpr size_t kLengthBytes = 4;      // at a member's end: its content's size

absl::Status Refuse(absl::string_view why) { return absl::InvalidArgumentError(why); }

class Inflater {
 public:
  explicit Inflater(absl::string_view bytes) : left_(bytes) {
    ok_ = inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK;
  }
  ~Inflater() {
    if (ok_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool ok() const { return ok_; }
  absl::string_view left() const { return left_; }
  // Appends the next member's content.
  absl::Status Member(size_t max_size, std::string* content);

 private:
  z_stream stream_ = {};
  bool ok_ = false;
  absl::string_view left_;  // not yet inflated
  std::vector<char> piece_ = std::vector<char>(kPiece);
};

absl::Status Inflater::Member(size_t max_size, std::string* content) {
  inflateReset(&stream_);
  for (;;) {
    const size_t feed = std::min(left_.size(), kMaxFeed);
    // zlib reads through this pointer only; its type is older than const.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(left_.data()));
    stream_.avail_in = static_cast<uInt>(feed);
    stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
    stream_.avail_out = static_cast<uInt>(kPiece);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    const size_t got = kPiece - stream_.avail_out;
    left_.remove_prefix(feed - stream_.avail_in);
    if (got > max_size - content->size()) {
      return Refuse(absl::StrCat("its content has more than ", max_size, " bytes"));
    }
    content->append(piece_.data(), got);
    if (result == Z_STREAM_END) return absl::OkStatus();
    if (result == Z_MEM_ERROR) return absl::ResourceExhaustedError("no memory to decompress it");
    if (result != Z_OK && result != Z_BUF_ERROR) {
      return Refuse(absl::StrCat("its gzip data are damaged: ",
                                 stream_.msg != nullptr ? stream_.msg : "no gzip stream that zlib reads"));
    }
    if (left_.empty() && got < kPiece) return Refuse("its gzip data are cut short");
  }
}

// The size that the last member claims; never more than `bytes` can hold. Only to reserve memory.
size_t SizeHint(absl::string_view bytes, size_t max_size) {
  size_t size = 0;
  if (bytes.size() < kLengthBytes) return 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    size |= size_t{static_cast<unsigned char>(bytes[bytes.size() - kLengthBytes + i])} << (8 * i);
  }
  return std::min({size, max_size, kMaxExpansion * bytes.size()});
}

}  // namespace

bool LooksGzipped(absl::string_view bytes) { return absl::StartsWith(bytes, kMagic); }

absl::StatusOr<std::string> Gunzip(absl::string_view bytes, size_t max_size) {
  if (!LooksGzipped(bytes)) return Refuse("it does not begin as a gzip file does");
  Inflater inflater(bytes);
  if (!inflater.ok()) return absl::ResourceExhaustedError("no memory to decompress it");
  std::string content;
  content.reserve(SizeHint(bytes, max_size));
  while (!inflater.left().empty()) {
    if (!LooksGzipped(inflater.left())) {
      return Refuse(
          absl::StrCat(inflater.left().size(), " bytes that are not gzip data follow its gzip data"));
    }
    absl::Status status = inflater.Member(max_size, &content);
    if (!status.ok()) return status;
  }
  return content;
}

}  // namespace train
}  // namespace glowworm
