// The batcher knows nothing of the model, so each has the ladder of tile sizes; they must be the same.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/cpu/product.h"
#include "server/compute_estimate.h"

namespace glowworm {
namespace {

TEST(Ladder, IsTheSameInTheBatcherAndTheExecutor) {
  EXPECT_THAT(kLadder, ::testing::ElementsAreArray(kRowLadder));
  EXPECT_EQ(kLadder.back(), kMaxTileRows);
}

TEST(Ladder, IsClimbedAlike) {
  for (int64_t rows = 1; rows <= kMaxTileRows; ++rows)
    EXPECT_EQ(RoundUpToLadder(rows), RoundUpOnLadder(rows));
}

}  // namespace
}  // namespace glowworm
