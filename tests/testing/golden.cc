// See golden.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/golden.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace glowworm {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "golden file: %s\n", what.c_str());
  std::abort();
}

bool Exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) Die("cannot open it");
  return {std::istreambuf_iterator<char>(in), {}};
}

GoldenTensor ReadTensor(const nlohmann::json& header, const std::string& data) {
  GoldenTensor tensor;
  tensor.shape = header.at("shape").get<std::vector<int64_t>>();
  const size_t begin = header.at("data_offsets").at(0).get<size_t>();
  const size_t end = header.at("data_offsets").at(1).get<size_t>();
  if (end > data.size() || begin > end || (end - begin) % 8 != 0) Die("bad offsets");
  const bool integer = header.at("dtype") == "I64";
  if (!integer && header.at("dtype") != "F64") Die("unexpected dtype");
  for (size_t at = begin; at < end; at += 8) {
    if (integer) {
      int64_t value;
      std::memcpy(&value, data.data() + at, 8);
      tensor.values.push_back(static_cast<double>(value));
    } else {
      double value;
      std::memcpy(&value, data.data() + at, 8);
      tensor.values.push_back(value);
    }
  }
  return tensor;
}

// The metadata's own JSON text gives it as text.
double LibraryFloat32Error(const nlohmann::json& header) {
  const std::string text =
      header.value("__metadata__", nlohmann::json::object()).value("glowworm.golden", "{}");
  const nlohmann::json about = nlohmann::json::parse(text, nullptr, false);
  if (!about.is_object()) Die("glowworm.golden is no JSON object");
  return std::atof(about.value("float32_log_prob_error", "0").c_str());
}

}  // namespace

std::vector<double> GoldenTensor::Row(int64_t row) const {
  const int64_t size = static_cast<int64_t>(values.size()) / rows();
  return {values.begin() + row * size, values.begin() + (row + 1) * size};
}

const GoldenTensor& Golden::At(const std::string& name) const {
  const auto it = tensors.find(name);
  if (it == tensors.end()) Die("no tensor " + name);
  return it->second;
}

std::string FixtureFolder(const std::string& name) {
  if (const char* fixtures = std::getenv("GLOWWORM_FIXTURES")) {
    const std::string folder = std::string(fixtures) + "/" + name;
    if (Exists(folder + "/golden.safetensors")) return folder;
  }
  if (const char* source = std::getenv("GLOWWORM_SOURCE_DIR")) {
    const std::string folder = std::string(source) + "/tests/golden/" + name;
    if (Exists(folder + "/golden.safetensors")) return folder;
  }
  return "";
}

std::string FixtureFlowPath(const std::string& folder) { return folder + "/1/flow.safetensors"; }

Golden ReadGolden(const std::string& folder) {
  const std::string bytes = ReadAll(folder + "/golden.safetensors");
  uint64_t header_size = 0;
  if (bytes.size() < 8) Die("truncated");
  std::memcpy(&header_size, bytes.data(), 8);
  if (header_size > bytes.size() - 8) Die("truncated header");
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, header_size), nullptr, false);
  if (!header.is_object()) Die("the header is no JSON object");
  const std::string data = bytes.substr(8 + header_size);
  Golden golden;
  for (const auto& [name, tensor] : header.items()) {
    if (name != "__metadata__") golden.tensors[name] = ReadTensor(tensor, data);
  }
  golden.library_float32_error = LibraryFloat32Error(header);
  return golden;
}

}  // namespace glowworm
