// The safetensors reader and writer. Tested by tests/model/safetensors_test.cc.

#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/regular_file.h"
#include "model/strict_json.h"
#include "nlohmann/json.hpp"

namespace glowworm {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian, and is copied as it is");

constexpr uint64_t kLengthBytes = 8;  // of the header's length, which opens the file

struct DtypeRow {
  Dtype dtype;
  const char* name;
  int64_t bytes;
};
constexpr DtypeRow kDtypes[] = {{Dtype::kF64, "F64", 8}, {Dtype::kI64, "I64", 8}, {Dtype::kF32, "F32", 4},
                                {Dtype::kI32, "I32", 4}, {Dtype::kF16, "F16", 2}, {Dtype::kBf16, "BF16", 2}};

const DtypeRow& Row(Dtype dtype) {
  return *std::find_if(std::begin(kDtypes), std::end(kDtypes),
                       [dtype](const DtypeRow& row) { return row.dtype == dtype; });
}

template <typename... Parts>
absl::Status Bad(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

bool IsPrintable(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// The bytes that a tensor takes; false on overflow. A dimension of 0 counts as 1 here, so that the answer
// does not depend on the order of the dimensions.
bool CheckedBytes(const std::vector<int64_t>& shape, Dtype dtype, uint64_t* bytes) {
  uint64_t product = static_cast<uint64_t>(DtypeBytes(dtype));
  bool empty = false;
  for (const int64_t dimension : shape) {
    empty |= dimension == 0;
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(std::max<int64_t>(dimension, 1)), &product)) {
      return false;
    }
  }
  *bytes = empty ? 0 : product;
  return true;
}

absl::Status ReadShape(const std::string& name, const Json& json, std::vector<int64_t>* shape) {
  const auto* items = json.As<Json::Array>();
  if (items == nullptr) return Bad("tensor ", Quoted(name), ": shape is not an array");
  if (items->size() > kMaxRank) {
    return Bad("tensor ", Quoted(name), ": ", items->size(), " dimensions; at most ", kMaxRank, " are read");
  }
  for (const Json& item : *items) {
    const auto* dimension = item.As<uint64_t>();
    if (dimension == nullptr) return Bad("tensor ", Quoted(name), ": a dimension is not a plain integer");
    if (*dimension > kMaxDimension) {
      return Bad("tensor ", Quoted(name), ": a dimension of ", *dimension, "; at most ", kMaxDimension,
                 " is read");
    }
    shape->push_back(static_cast<int64_t>(*dimension));
  }
  return absl::OkStatus();
}

absl::Status ReadEntry(const std::string& name, const Json& json, TensorEntry* entry) {
  if (name.empty() || name.size() > kMaxTensorName || !IsPrintable(name)) {
    return Bad("tensor name ", Quoted(name), " is not 1 to ", kMaxTensorName, " printable ASCII bytes");
  }
  const auto* object = json.As<Json::Object>();
  if (object == nullptr) return Bad("tensor ", Quoted(name), ": its entry is not an object");
  for (const JsonMember& member : *object) {
    if (member.key != "dtype" && member.key != "shape" && member.key != "data_offsets") {
      return Bad("tensor ", Quoted(name), ": unknown field ", Quoted(member.key));
    }
  }
  const Json* dtype = json.Find("dtype");
  const Json* shape = json.Find("shape");
  const Json* offsets = json.Find("data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr) {
    return Bad("tensor ", Quoted(name), ": dtype, shape or data_offsets is missing");
  }

  const auto* dtype_name = dtype->As<std::string>();
  if (dtype_name == nullptr) return Bad("tensor ", Quoted(name), ": dtype is not a string");
  const auto row = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                [&](const DtypeRow& r) { return *dtype_name == r.name; });
  if (row == std::end(kDtypes)) return Bad("tensor ", Quoted(name), ": unknown dtype ", Quoted(*dtype_name));
  entry->dtype = row->dtype;

  if (absl::Status s = ReadShape(name, *shape, &entry->shape); !s.ok()) return s;

  const auto* pair = offsets->As<Json::Array>();
  const bool two = pair != nullptr && pair->size() == 2 && (*pair)[0].As<uint64_t>() != nullptr &&
                   (*pair)[1].As<uint64_t>() != nullptr;
  if (!two) return Bad("tensor ", Quoted(name), ": data_offsets are not two plain integers");
  entry->begin = *(*pair)[0].As<uint64_t>();
  entry->end = *(*pair)[1].As<uint64_t>();
  if (entry->end < entry->begin) {
    return Bad("tensor ", Quoted(name), ": its data ends at ", entry->end, ", before it begins at ",
               entry->begin);
  }

  uint64_t bytes = 0;
  if (!CheckedBytes(entry->shape, entry->dtype, &bytes)) {
    return Bad("tensor ", Quoted(name), ": its dimensions overflow");
  }
  if (entry->end - entry->begin != bytes) {
    return Bad("tensor ", Quoted(name), ": its shape takes ", bytes, " bytes, its data_offsets give ",
               entry->end - entry->begin);
  }
  return absl::OkStatus();
}

absl::Status ReadMetadata(const Json& json, std::map<std::string, std::string>* metadata) {
  const auto* object = json.As<Json::Object>();
  if (object == nullptr) return Bad("__metadata__ is not an object");
  for (const JsonMember& member : *object) {
    const auto* text = member.value.As<std::string>();
    if (text == nullptr) return Bad("__metadata__: the value of ", Quoted(member.key), " is not a string");
    metadata->emplace(member.key, *text);
  }
  return absl::OkStatus();
}

// Refuses holes, overlaps, and bytes after the last tensor.
absl::Status CheckCoverage(const std::map<std::string, TensorEntry>& tensors, uint64_t data_bytes) {
  std::vector<std::tuple<uint64_t, uint64_t, absl::string_view>> ranges;
  for (const auto& [name, entry] : tensors) ranges.emplace_back(entry.begin, entry.end, name);
  std::sort(ranges.begin(), ranges.end());
  uint64_t expected = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (begin != expected) {
      return Bad("tensor ", Quoted(name), ": its data begins at ", begin, ", the data before it ends at ",
                 expected);
    }
    expected = end;
  }
  if (expected != data_bytes) {
    return Bad("the tensors take ", expected, " bytes, the file holds ", data_bytes, " after its header");
  }
  return absl::OkStatus();
}

}  // namespace

const char* DtypeName(Dtype dtype) { return Row(dtype).name; }
int64_t DtypeBytes(Dtype dtype) { return Row(dtype).bytes; }
int64_t TensorEntry::size() const { return static_cast<int64_t>(end - begin) / DtypeBytes(dtype); }

absl::StatusOr<Safetensors> Safetensors::Parse(std::string bytes) {
  if (bytes.size() < kLengthBytes) {
    return Bad("the file has ", bytes.size(),
               " bytes; a safetensors file begins with 8 for its header's length");
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes) {
    return Bad("the header has ", header_bytes, " bytes; at most ", kMaxHeaderBytes, " are read");
  }
  if (header_bytes > bytes.size() - kLengthBytes) {
    return Bad("the header has ", header_bytes, " bytes, the file only ", bytes.size() - kLengthBytes,
               " after the header's length");
  }

  JsonLimits limits;
  limits.depth = kMaxHeaderDepth;
  const auto header = ParseStrictJson(absl::string_view(bytes).substr(kLengthBytes, header_bytes), limits);
  if (!header.ok()) return Bad("the header ", header.status().message());
  const auto* entries = header->As<Json::Object>();
  if (entries == nullptr) return Bad("the header is not a JSON object");

  Safetensors file;
  for (const JsonMember& member : *entries) {
    if (member.key == "__metadata__") {
      if (absl::Status s = ReadMetadata(member.value, &file.metadata_); !s.ok()) return s;
      continue;
    }
    if (static_cast<int64_t>(file.tensors_.size()) == kMaxTensors) {
      return Bad("more than ", kMaxTensors, " tensors");
    }
    if (absl::Status s = ReadEntry(member.key, member.value, &file.tensors_[member.key]); !s.ok()) return s;
  }
  file.data_ = kLengthBytes + header_bytes;
  if (absl::Status s = CheckCoverage(file.tensors_, bytes.size() - file.data_); !s.ok()) return s;
  file.bytes_ = std::move(bytes);
  return file;
}

std::vector<double> Safetensors::Floats(const TensorEntry& entry) const {
  std::vector<double> out(static_cast<size_t>(entry.size()));
  if (out.empty()) return out;
  const char* from = bytes_.data() + data_ + entry.begin;
  if (entry.dtype == Dtype::kF64) {
    std::memcpy(out.data(), from, out.size() * sizeof(double));
    return out;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    float value;
    std::memcpy(&value, from + i * sizeof(float), sizeof(float));
    out[i] = static_cast<double>(value);
  }
  return out;
}

std::vector<int64_t> Safetensors::Integers(const TensorEntry& entry) const {
  std::vector<int64_t> out(static_cast<size_t>(entry.size()));
  if (!out.empty()) {
    std::memcpy(out.data(), bytes_.data() + data_ + entry.begin, out.size() * sizeof(int64_t));
  }
  return out;
}

absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadRegularFile(path, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  return Safetensors::Parse(*std::move(bytes));
}

namespace {

template <typename T>
TensorData MakeTensor(std::string name, Dtype dtype, std::vector<int64_t> shape,
                      const std::vector<T>& values) {
  TensorData tensor{std::move(name), dtype, std::move(shape), std::string(values.size() * sizeof(T), '\0')};
  if (!values.empty()) std::memcpy(&tensor.bytes[0], values.data(), tensor.bytes.size());
  return tensor;
}

}  // namespace

TensorData FloatTensor(std::string name, std::vector<int64_t> shape, const std::vector<double>& values) {
  return MakeTensor(std::move(name), Dtype::kF64, std::move(shape), values);
}

TensorData CompactTensor(std::string name, std::vector<int64_t> shape, const std::vector<double>& values) {
  const std::vector<float> narrow(values.begin(), values.end());
  if (values.empty() || !std::equal(values.begin(), values.end(), narrow.begin())) {
    return FloatTensor(std::move(name), std::move(shape), values);
  }
  return MakeTensor(std::move(name), Dtype::kF32, std::move(shape), narrow);
}

TensorData IndexTensor(std::string name, std::vector<int64_t> shape, const std::vector<int64_t>& values) {
  return MakeTensor(std::move(name), Dtype::kI64, std::move(shape), values);
}

std::string SerializeSafetensors(const std::map<std::string, std::string>& metadata,
                                 std::vector<TensorData> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorData& a, const TensorData& b) {
    return std::make_tuple(-DtypeBytes(a.dtype), absl::string_view(a.name)) <
           std::make_tuple(-DtypeBytes(b.dtype), absl::string_view(b.name));
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorData& tensor : tensors) {
    header[tensor.name] = {{"dtype", DtypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');

  const uint64_t header_bytes = text.size();
  std::string file(kLengthBytes, '\0');
  std::memcpy(&file[0], &header_bytes, kLengthBytes);
  file.reserve(kLengthBytes + text.size() + offset);
  file += text;
  for (const TensorData& tensor : tensors) file += tensor.bytes;
  return file;
}

}  // namespace glowworm
