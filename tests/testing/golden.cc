// See golden.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/golden.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

namespace glowworm {
namespace {

constexpr char kErrorColumn[] = "library in float32: log p";

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

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream in(line);
  for (std::string cell; std::getline(in, cell, '|');) cells.push_back(Trim(cell));
  return cells;
}

// The number that a Markdown table gives for `name` in the column kErrorColumn; 0 without.
double LibraryFloat32Error(const std::string& readme, const std::string& name) {
  std::ifstream in(readme);
  size_t column = 0;
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> cells = Cells(line);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i] == kErrorColumn) column = i;
    }
    if (column > 0 && cells.size() > column && cells[1] == name) return std::atof(cells[column].c_str());
  }
  return 0;
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
  const size_t slash = folder.find_last_of('/');
  golden.library_float32_error =
      LibraryFloat32Error(folder.substr(0, slash) + "/README.md", folder.substr(slash + 1));
  return golden;
}

}  // namespace glowworm
