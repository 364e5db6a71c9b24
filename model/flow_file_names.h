// The enums of a flow file by name, for its reader and its writer. proto/glowworm/v1/flow_spec.proto lists
// the same.

#ifndef GLOWWORM_MODEL_FLOW_FILE_NAMES_H_
#define GLOWWORM_MODEL_FLOW_FILE_NAMES_H_

#include "model/flow_spec.h"

namespace glowworm {

template <typename E>
struct EnumName {
  E value;
  const char* name;
};

inline constexpr EnumName<Pad> kPadNames[] = {
    {Pad::kZero, "ZERO"}, {Pad::kOne, "ONE"}, {Pad::kEdgeChannel, "EDGE_CHANNEL"}};
inline constexpr EnumName<ActivationKind> kActivationNames[] = {
    {ActivationKind::kRelu, "RELU"},       {ActivationKind::kLeakyRelu, "LEAKY_RELU"},
    {ActivationKind::kTanh, "TANH"},       {ActivationKind::kElu, "ELU"},
    {ActivationKind::kSilu, "SILU"},       {ActivationKind::kGelu, "GELU"},
    {ActivationKind::kSigmoid, "SIGMOID"}, {ActivationKind::kSoftplus, "SOFTPLUS"}};
inline constexpr EnumName<Side> kSideNames[] = {{Side::kOutput, "OUTPUT"}, {Side::kInput, "INPUT"}};
inline constexpr EnumName<SqueezeOrder> kSqueezeOrderNames[] = {
    {SqueezeOrder::kChannelMajor, "CHANNEL_MAJOR"}, {SqueezeOrder::kSpatialMajor, "SPATIAL_MAJOR"}};
inline constexpr EnumName<Half> kHalfNames[] = {{Half::kFirst, "FIRST_HALF"}, {Half::kSecond, "SECOND_HALF"}};
inline constexpr EnumName<ScaleMap> kScaleMapNames[] = {{ScaleMap::kExp, "EXP"},
                                                        {ScaleMap::kSigmoid, "SIGMOID"},
                                                        {ScaleMap::kInverseSigmoid, "INVERSE_SIGMOID"},
                                                        {ScaleMap::kSoftplus, "SOFTPLUS"},
                                                        {ScaleMap::kTanhExp, "TANH_EXP"},
                                                        {ScaleMap::kAtanExp, "ATAN_EXP"},
                                                        {ScaleMap::kSoftclipExp, "SOFTCLIP_EXP"}};
inline constexpr EnumName<AffineOrder> kAffineOrderNames[] = {
    {AffineOrder::kScaleThenShift, "SCALE_THEN_SHIFT"}, {AffineOrder::kShiftThenScale, "SHIFT_THEN_SCALE"}};
inline constexpr EnumName<SplineParametrization> kSplineParametrizationNames[] = {
    {SplineParametrization::kSoftmax, "SOFTMAX"}, {SplineParametrization::kSoftclip, "SOFTCLIP"}};
inline constexpr EnumName<ParallelDirection> kParallelDirectionNames[] = {
    {ParallelDirection::kForward, "FORWARD"}, {ParallelDirection::kInverse, "INVERSE"}};

template <typename E, size_t n>
const char* NameOf(const EnumName<E> (&names)[n], E value) {
  for (const EnumName<E>& row : names) {
    if (row.value == value) return row.name;
  }
  return "";
}

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_FILE_NAMES_H_
