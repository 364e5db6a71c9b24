// Eigen views of a workspace's buffers that demand what batch invariance needs: 64-byte alignment and whole
// groups of 16, so that no number takes Eigen's scalar tail (whose exp and log differ in bits from the vector
// body's). Tested through every op that uses them, by tests/model/invariance_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ELEMENTWISE_H_
#define GLOWWORM_MODEL_CPU_ELEMENTWISE_H_

#include "Eigen/Core"

namespace glowworm {

// REQUIRES: 64-byte aligned, a multiple of 16 long (Arena::Take gives such buffers).
template <typename T>
using Lanes = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>, Eigen::Aligned64>;
template <typename T>
using ConstLanes = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>, Eigen::Aligned64>;

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ELEMENTWISE_H_
