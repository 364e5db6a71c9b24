// A safetensors file taken apart into JSON and the bytes of each tensor, to be changed and put together
// again. The parts may contradict one another. Entries: TakeApart(), Mend(), PutTogether(). Tested by
// tests/fuzz/file_mutator_test.cc.

#ifndef GLOWWORM_TESTS_FUZZ_FILE_PARTS_H_
#define GLOWWORM_TESTS_FUZZ_FILE_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace glowworm {

struct FileParts {
  using Json = nlohmann::ordered_json;

  struct Tensor {
    std::string name;
    Json entry;  // {"dtype", "shape", "data_offsets"}, or whatever stands there
    std::string bytes;
  };

  Json metadata;  // null: none
  Json flow;      // the JSON inside the metadata; null: none
  std::vector<Tensor> tensors;

  // The flow's layers; null if there are none.
  Json* Layers();
  // Whether no tensor has that name.
  bool IsFree(const std::string& name) const;
};

// JSON for `text`; none if it is no JSON, or nests so deep that writing it would.
std::optional<FileParts::Json> ParseText(const std::string& text);
std::string Text(const FileParts::Json& json);
void AddStrings(const FileParts::Json& json, std::set<std::string>* out);  // all in it

// The bytes of one number of the tensor with that entry; 0 where that cannot be known.
size_t NumberBytes(const FileParts::Json& entry);

// None if the header is no JSON object within the file.
std::optional<FileParts> TakeApart(const std::string& file);
std::string PutTogether(FileParts parts);
// The length as it is given, the header, the data.
std::string Together(uint64_t length, const std::string& header, const std::string& data);
constexpr size_t kLengthBytes = 8;  // of the length

// What a writer would have made of the parts. Mend() gives every tensor as many bytes as its shape takes
// (none where that cannot be), and the offsets where they lie; DropUnused() leaves out tensors that the flow
// does not name.
void Mend(FileParts* parts);
void DropUnused(FileParts* parts);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_FILE_PARTS_H_
