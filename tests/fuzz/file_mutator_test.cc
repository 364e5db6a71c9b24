// The file mutator keeps files good enough to get past the reader's first checks, and bad enough to meet the
// others.

#include "tests/fuzz/file_mutator.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "model/flow_file.h"
#include "model/safetensors.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

constexpr size_t kMaxSize = 1 << 16;
constexpr int kTries = 300;

size_t FlipABit(uint8_t* data, size_t size, size_t /*max_size*/) {
  if (size > 0) data[size / 2] ^= 1;
  return size;
}

size_t FillUp(uint8_t* data, size_t size, size_t max_size) {
  for (; size < max_size; ++size) data[size] = 'x';
  return size;
}

// How many of some files other than `original` are containers, and how many of them flows.
struct Yield {
  int containers = 0, flows = 0;

  void Add(const std::string& file, const std::string& original) {
    if (file == original) return;
    containers += Safetensors::Parse(file).ok();
    flows += ParseFlowFile(file).ok();
  }
};

TEST(FileMutator, MostChangedFilesAreContainersAndSomeAreFlows) {
  for (const FlowSpec& spec : {RowFlow(), ImageFlow()}) {
    const std::string file = SerializeFlow(spec);
    Yield yield;
    for (int seed = 0; seed < kTries; ++seed) yield.Add(MutateFile(file, kMaxSize, seed, FlipABit), file);
    EXPECT_GE(yield.containers, kTries / 4);
    EXPECT_LE(yield.containers, kTries * 9 / 10) << "nothing would meet the container's own checks";
    EXPECT_GE(yield.flows, kTries / 20);
    EXPECT_LT(yield.flows, yield.containers);
  }
}

TEST(FileMutator, SomeCrossedFilesAreFlows) {
  const std::string rows = SerializeFlow(RowFlow()), image = SerializeFlow(ImageFlow());
  Yield same, other;
  for (int seed = 0; seed < kTries; ++seed) {
    same.Add(CrossFiles(rows, rows, kMaxSize, seed), rows);
    other.Add(CrossFiles(rows, image, kMaxSize, seed), rows);
  }
  EXPECT_EQ(same.containers, kTries);
  EXPECT_GE(same.flows, kTries / 4);
  EXPECT_EQ(other.containers, kTries);
  EXPECT_LT(other.flows, other.containers);
}

TEST(FileMutator, TheSameSeedGivesTheSameAnswer) {
  const std::string file = SerializeFlow(RowFlow());
  std::set<std::string> answers;
  for (int seed = 0; seed < kTries; ++seed) {
    const std::string changed = MutateFile(file, kMaxSize, seed, FlipABit);
    EXPECT_EQ(changed, MutateFile(file, kMaxSize, seed, FlipABit));
    answers.insert(changed);
  }
  EXPECT_GE(answers.size(), size_t{kTries} / 2) << "seeds differ";
}

TEST(FileMutator, KeepsToTheSize) {
  const std::string rows = SerializeFlow(RowFlow());
  for (const std::string& file : {rows, rows.substr(0, 100), std::string("12345678"), std::string()}) {
    for (const size_t max_size : {size_t{1}, size_t{64}, rows.size(), kMaxSize}) {
      for (int seed = 0; seed < 40; ++seed) {
        EXPECT_LE(MutateFile(file, max_size, seed, FillUp).size(), max_size);
        EXPECT_LE(CrossFiles(file, rows, max_size, seed).size(), max_size);
      }
    }
  }
}

}  // namespace
}  // namespace glowworm
