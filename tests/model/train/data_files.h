// Small data files that tests write: the bytes of .npy, IDX and gzip, and a folder to put them in.

#ifndef GLOWWORM_TESTS_MODEL_TRAIN_DATA_FILES_H_
#define GLOWWORM_TESTS_MODEL_TRAIN_DATA_FILES_H_

#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "client/npy.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace train {

// A folder of a test's own, removed with it.
class DataFolder {
 public:
  DataFolder() {
    std::string name = testing::TempDir() + "glowworm_data_XXXXXX";
    path_ = mkdtemp(&name[0]);
  }
  ~DataFolder() { std::filesystem::remove_all(path_); }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // Returns the file's path.
  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }

 private:
  std::string path_;
};

template <typename T>
std::string Npy(std::vector<int64_t> shape, const std::vector<T>& values) {
  const client::Array array = client::Array::Of<T>(std::move(shape), values);
  return client::FormatNpyHeader({array.dtype, array.shape}) + array.data;
}

// A file of 8-byte values with another type in its header.
inline std::string NpyOfType(const std::string& descr, const std::vector<int64_t>& shape,
                             const std::vector<int64_t>& values) {
  std::string header = client::FormatNpyHeader({v1::DATA_TYPE_FLOAT64, shape});
  header.replace(header.find("<f8"), 3, descr);
  return header + std::string(reinterpret_cast<const char*>(values.data()), values.size() * 8);
}

inline std::string Idx(const std::vector<uint32_t>& shape, const std::string& values, char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(shape.size())};
  for (uint32_t dimension : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(dimension >> shift & 255);
  }
  return bytes + values;
}

// One gzip member.
inline std::string Gzip(const std::string& content) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string bytes(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(&bytes[0]);
  stream.avail_out = static_cast<uInt>(bytes.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  bytes.resize(stream.total_out);
  deflateEnd(&stream);
  return bytes;
}

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_TRAIN_DATA_FILES_H_
