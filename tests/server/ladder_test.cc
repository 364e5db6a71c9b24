// The batcher knows nothing of the model, so each has the ladder of tile sizes; they must be the same.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "model/cpu/product.h"
#include "server/compute_estimate.h"

namespace glowworm {
namespace {

TEST(Ladder, IsTheSameInTheBatcherAndTheExecutor) {
  const auto* const end = std::find(std::begin(kLadder), std::end(kLadder), kMaxTileRows);
  ASSERT_NE(end, std::end(kLadder));
  EXPECT_THAT(std::vector<int64_t>(std::begin(kLadder), end + 1), ::testing::ElementsAreArray(kRowLadder));
}

TEST(Ladder, IsClimbedAlike) {
  for (int64_t rows = 1; rows <= kMaxTileRows; ++rows)
    EXPECT_EQ(RoundUpToLadder(rows), RoundUpOnLadder(rows));
}

}  // namespace
}  // namespace glowworm
