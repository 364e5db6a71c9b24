// .npy: a parser for the one Python literal that a header is, and the reader of the rows behind it.

#include "client/npy.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace glowworm {
namespace client {
namespace {

constexpr size_t kMaxDimensions = 32;

absl::Status HeaderError(absl::string_view expected, absl::string_view rest) {
  return absl::InvalidArgumentError(absl::StrCat("npy header: expected ", expected, ", got \"",
                                                 absl::CHexEscape(rest.substr(0, 24)), "\""));
}

// Takes one token at a time from the front of the text.
struct Cursor {
  absl::string_view rest;

  bool Take(absl::string_view token) {
    rest = absl::StripLeadingAsciiWhitespace(rest);
    return absl::ConsumePrefix(&rest, token);
  }

  absl::StatusOr<std::string> String() {
    const char quote = Take("'") ? '\'' : Take("\"") ? '"' : '\0';
    const size_t end = quote == '\0' ? absl::string_view::npos : rest.find(quote);
    if (end == absl::string_view::npos) return HeaderError("a quoted string", rest);
    std::string text(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    return text;
  }

  absl::StatusOr<std::vector<int64_t>> Tuple() {
    std::vector<int64_t> values;
    if (!Take("(")) return HeaderError("a tuple of dimensions", rest);
    bool comma = true;
    while (!Take(")")) {
      const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
      int64_t value = 0;
      if (!comma || digits == 0 || !absl::SimpleAtoi(rest.substr(0, digits), &value)) {
        return HeaderError("a dimension below 2^63", rest);
      }
      if (values.size() == kMaxDimensions) return HeaderError("at most 32 dimensions", rest);
      values.push_back(value);
      rest.remove_prefix(digits);
      comma = Take(",");
    }
    if (values.size() == 1 && !comma) return HeaderError("a comma after the only dimension", rest);
    return values;
  }
};

absl::Status ParseDtype(const std::string& descr, NpyIntegers integers, NpyHeader* header) {
  const bool take_integers = integers == NpyIntegers::kAsFloat64;
  header->int64 = take_integers && descr == "<i8";
  if (descr == "<f4") {
    header->dtype = v1::DATA_TYPE_FLOAT32;
  } else if (descr == "<f8" || header->int64) {
    header->dtype = v1::DATA_TYPE_FLOAT64;
  } else if (descr == "|u1" || descr == "<u1") {
    header->dtype = v1::DATA_TYPE_UINT8;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("npy header: values of type '", absl::CHexEscape(descr.substr(0, 16)),
                     "' are not taken; expected little-endian float32 '<f4', float64 '<f8'",
                     take_integers ? ", int64 '<i8'" : "", " or uint8 '|u1' (in numpy: x.astype('<f8'))"));
  }
  return absl::OkStatus();
}

// int64 to float64, in place. Returns the first value that float64 cannot hold, else nothing.
absl::optional<int64_t> Widen(std::string* data) {
  constexpr int64_t kExact = int64_t{1} << 53;
  for (size_t at = 0; at + 8 <= data->size(); at += 8) {
    int64_t integer;
    std::memcpy(&integer, data->data() + at, 8);
    if (integer > kExact || integer < -kExact) return integer;
    const double value = static_cast<double>(integer);
    std::memcpy(&(*data)[at], &value, 8);
  }
  return absl::nullopt;
}

const char* Descr(v1::DataType dtype) {
  return dtype == v1::DATA_TYPE_FLOAT32 ? "<f4" : dtype == v1::DATA_TYPE_UINT8 ? "|u1" : "<f8";
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text, NpyIntegers integers) {
  NpyHeader header;
  std::vector<std::string> seen;
  Cursor cursor{text};
  if (!cursor.Take("{")) return HeaderError("{", cursor.rest);
  while (!cursor.Take("}")) {
    absl::StatusOr<std::string> key = cursor.String();
    if (!key.ok()) return key.status();
    if (std::find(seen.begin(), seen.end(), *key) != seen.end()) return HeaderError("each key once", *key);
    seen.push_back(*key);
    if (!cursor.Take(":")) return HeaderError(":", cursor.rest);
    if (*key == "descr") {
      if (cursor.Take("[")) return absl::InvalidArgumentError("npy header: structured types are not taken");
      absl::StatusOr<std::string> descr = cursor.String();
      if (!descr.ok()) return descr.status();
      absl::Status status = ParseDtype(*descr, integers, &header);
      if (!status.ok()) return status;
    } else if (*key == "fortran_order") {
      header.fortran_order = cursor.Take("True");
      if (!header.fortran_order && !cursor.Take("False")) return HeaderError("True or False", cursor.rest);
    } else if (*key == "shape") {
      absl::StatusOr<std::vector<int64_t>> shape = cursor.Tuple();
      if (!shape.ok()) return shape.status();
      header.shape = *std::move(shape);
    } else {
      return HeaderError("descr, fortran_order or shape", *key);
    }
    const bool comma = cursor.Take(",");
    if (!comma && !absl::StartsWith(absl::StripLeadingAsciiWhitespace(cursor.rest), "}")) {
      return HeaderError(", or }", cursor.rest);
    }
  }
  if (seen.size() != 3) return HeaderError("descr, fortran_order and shape", absl::StrJoin(seen, " "));
  if (!absl::StripAsciiWhitespace(cursor.rest).empty()) return HeaderError("nothing after }", cursor.rest);
  return header;
}

std::string FormatNpyHeader(const NpyHeader& header) {
  std::string text = absl::StrCat("{'descr': '", Descr(header.dtype),
                                  "', 'fortran_order': False, 'shape': ", ShapeText(header.shape), ", }");
  // Padded as if the number of rows had its most digits.
  const size_t room = header.shape.empty() ? 0 : 19 - absl::StrCat(header.shape[0]).size();
  const size_t total = (10 + text.size() + room + 1 + 63) / 64 * 64;
  text.resize(total - 11, ' ');
  text += '\n';
  std::string bytes(kNpyMagic, kNpyMagicSize);
  bytes += {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return bytes + text;
}

absl::StatusOr<std::unique_ptr<NpyReader>> NpyReader::Create(std::unique_ptr<ByteReader> bytes,
                                                             NpyIntegers integers) {
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(bytes->name(), ": ", why));
  };
  absl::StatusOr<std::string> start = bytes->Read(kNpyMagicSize + 2);
  if (!start.ok()) return start.status();
  if (start->size() < kNpyMagicSize + 2 ||
      !absl::StartsWith(*start, absl::string_view(kNpyMagic, kNpyMagicSize))) {
    return refuse("not a .npy file: it does not begin with \\x93NUMPY and a version");
  }
  const int major = static_cast<unsigned char>((*start)[6]);
  const int minor = static_cast<unsigned char>((*start)[7]);
  if ((major != 1 && major != 2) || minor != 0) {
    return refuse(absl::StrCat("expected .npy version 1.0 or 2.0, got ", major, ".", minor));
  }
  const size_t length_bytes = major == 1 ? 2 : 4;
  absl::StatusOr<std::string> length_text = bytes->Read(length_bytes);
  if (!length_text.ok()) return length_text.status();
  if (length_text->size() < length_bytes) return refuse("the .npy header is cut short");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<size_t>(static_cast<unsigned char>((*length_text)[i])) << (8 * i);
  }
  if (length > kMaxNpyHeader) {
    return refuse(absl::StrCat("a .npy header of ", length, " bytes; expected at most ", kMaxNpyHeader));
  }
  absl::StatusOr<std::string> text = bytes->Read(length);
  if (!text.ok()) return text.status();
  if (text->size() < length) return refuse("the .npy header is cut short");
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(*text, integers);
  if (!header.ok()) return refuse(header.status().message());

  if (header->shape.empty()) return refuse("a single number; expected an array with rows");
  const int64_t row_values = Product(absl::MakeConstSpan(header->shape).subspan(1));
  const int64_t row_bytes = row_values > kMaxRowBytes ? -1 : row_values * ValueBytes(header->dtype);
  if (row_values < 0 || row_bytes < 0 || row_bytes > kMaxRowBytes) {
    return refuse(absl::StrCat("rows of shape ", ShapeText(header->shape), " are larger than 1 GiB"));
  }
  if (row_bytes == 0 && header->shape[0] != 0) return refuse("rows without values");
  if (header->shape[0] != 0 && header->shape[0] > std::numeric_limits<int64_t>::max() / row_bytes) {
    return refuse(absl::StrCat("an array of shape ", ShapeText(header->shape), " is larger than any file"));
  }
  const absl::optional<int64_t> left = bytes->BytesLeft();
  if (left && *left != header->shape[0] * row_bytes) {
    return refuse(absl::StrCat("an array of shape ", ShapeText(header->shape), " has ",
                               header->shape[0] * row_bytes, " bytes, the file has ", *left,
                               " after its header"));
  }
  // Of one dimension, both orders are the same.
  const bool rearrange = header->fortran_order && header->shape.size() > 1;
  if (rearrange && header->shape[0] > kMaxFortranBytes / std::max<int64_t>(1, row_bytes)) {
    return refuse(
        absl::StrCat("an array of shape ", ShapeText(header->shape),
                     " in Fortran order, more than 4 GiB; expected C order (np.ascontiguousarray(x))"));
  }
  std::unique_ptr<NpyReader> reader(new NpyReader(std::move(bytes), *std::move(header)));
  if (rearrange) {
    absl::Status status = reader->Rearrange();
    if (!status.ok()) return status;
  }
  return reader;
}

absl::Status NpyReader::Rearrange() {
  const std::vector<int64_t>& shape = header_.shape;
  const size_t value = static_cast<size_t>(ValueBytes(header_.dtype)), rows = static_cast<size_t>(shape[0]);
  const size_t row_values = static_cast<size_t>(Product(absl::MakeConstSpan(shape).subspan(1)));
  const size_t total = rows * row_values * value;
  absl::StatusOr<std::string> columns = bytes_->Read(total);
  if (!columns.ok()) return columns.status();
  if (columns->size() < total) {
    return absl::InvalidArgumentError(absl::StrCat(bytes_->name(), ": the array has ", columns->size(),
                                                   " bytes; its header promised ", total));
  }
  rearranged_.resize(total);
  std::vector<int64_t> index(shape.size(), 0);  // of a value in its row: index[1] and on
  for (size_t j = 0; j < row_values; ++j) {
    // Where the file has this value of row 0; the other rows' follow it.
    size_t at = 0;
    for (size_t k = shape.size() - 1; k > 0; --k) {
      at = at * static_cast<size_t>(shape[k]) + static_cast<size_t>(index[k]);
    }
    const char* from = columns->data() + at * rows * value;
    for (size_t i = 0; i < rows; ++i) {
      std::memcpy(&rearranged_[(i * row_values + j) * value], from + i * value, value);
    }
    for (size_t k = shape.size() - 1; k > 0 && ++index[k] == shape[k]; --k) index[k] = 0;
  }
  absl::StatusOr<std::string> rest = bytes_->Peek(1);
  if (!rest.ok()) return rest.status();
  if (!rest->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes_->name(), ": it goes on after the ", rows, " rows that its header promised"));
  }
  bytes_ = ByteReader::OfMemory(bytes_->name(), rearranged_);
  return absl::OkStatus();
}

absl::StatusOr<Array> NpyReader::Next(int64_t max_rows, bool may_wait, bool* later) {
  *later = false;
  Array rows;
  rows.dtype = header_.dtype;
  rows.shape = header_.shape;
  const int64_t row_bytes = rows.RowBytes();
  int64_t count = std::min(max_rows, header_.shape[0] - row_);
  if (row_bytes > 0) count = std::min(count, std::max<int64_t>(1, kMaxRowBytes / row_bytes));
  // One row is worth waiting for; the others of the block are given if they are there. After the last row the
  // input has to end.
  const size_t needed = count > 0 ? static_cast<size_t>(row_bytes) : 1;
  absl::StatusOr<size_t> there = bytes_->Gather(needed, may_wait);
  if (there.ok() && *there == needed && count > 0) {
    there = bytes_->Gather(static_cast<size_t>(count * row_bytes), /*may_wait=*/false);
  }
  if (!there.ok()) return there.status();
  if (count == 0 && *there > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes_->name(), ": it goes on after the ", row_, " rows that its header promised"));
  }
  count = count > 0 ? static_cast<int64_t>(*there) / row_bytes : 0;
  if (count == 0 && row_ < header_.shape[0] && bytes_->ended()) {
    return absl::InvalidArgumentError(absl::StrCat(bytes_->name(), ": the array ends in row ", row_,
                                                   "; its header promised ", header_.shape[0], " rows"));
  }
  *later = count == 0 && !bytes_->ended();
  absl::StatusOr<std::string> data = bytes_->Read(static_cast<size_t>(count * row_bytes));
  if (!data.ok()) return data.status();
  if (header_.int64) {
    if (const absl::optional<int64_t> beyond = Widen(&*data)) {
      return absl::InvalidArgumentError(absl::StrCat(bytes_->name(), ": after row ", row_, ", the integer ",
                                                     *beyond, "; expected -2^53 to 2^53"));
    }
  }
  row_ += count;
  rows.shape[0] = count;
  rows.data = *std::move(data);
  return rows;
}

}  // namespace client
}  // namespace glowworm
