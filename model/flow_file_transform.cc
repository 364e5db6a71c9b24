// Reads the transforms of coupling and autoregressive layers. Entries: ReadAffineTransform(),
// ReadSplineTransform(). Tested by tests/model/flow_file_layer_test.cc and
// tests/model/flow_file_spline_test.cc.

#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"

namespace glowworm {
namespace {

// The numbers that a scale map has; the others must be 0.
struct ScaleMapNumbers {
  bool offset, epsilon, clamp, clamp_required;
};
ScaleMapNumbers NumbersOf(ScaleMap map) {
  switch (map) {
    case ScaleMap::kExp:
      return {false, false, false, false};
    case ScaleMap::kSigmoid:
      return {true, true, false, false};
    case ScaleMap::kInverseSigmoid:
      return {true, false, false, false};
    case ScaleMap::kSoftplus:
      return {false, true, true, false};
    case ScaleMap::kTanhExp:
    case ScaleMap::kAtanExp:
    case ScaleMap::kSoftclipExp:
      return {false, false, true, true};
  }
  return {};
}

bool NotNegative(Fields* fields, const char* name, double value) {
  if (value >= 0) return true;
  return fields->Fail(absl::StrCat(name, " is ", value, "; 0 or more is expected"));
}

// For a number that `kind` does not name.
bool MustBe(Fields* fields, double expected, const char* name, double value, const char* kind) {
  if (value == expected) return true;
  return fields->Fail(
      absl::StrCat(name, " is ", value, "; ", kind, " takes none, so that it must be ", expected));
}

// What the bins' least shares leave of the interval is what the net shares out.
bool LeavesRoom(Fields* fields, int64_t bins, const char* name, double least) {
  if (!NotNegative(fields, name, least)) return false;
  if (static_cast<double>(bins) * least < 1) return true;
  return fields->Fail(
      absl::StrCat(name, " is ", least, "; with ", bins, " bins less than 1/", bins, " is expected"));
}

}  // namespace

bool ReadAffineTransform(FlowSource* source, const Json* json, const Place& place, AffineTransform* affine) {
  Fields fields(source, json, place);
  if (!fields.Enum("scale_map", kScaleMapNames, &affine->scale_map) ||
      !fields.Enum("order", kAffineOrderNames, &affine->order) || !fields.Number("offset", &affine->offset) ||
      !fields.Number("epsilon", &affine->epsilon) || !fields.Number("clamp", &affine->clamp) ||
      !fields.Done()) {
    return false;
  }
  const char* map = NameOf(kScaleMapNames, affine->scale_map);
  const ScaleMapNumbers has = NumbersOf(affine->scale_map);
  if (!NotNegative(&fields, "epsilon", affine->epsilon)) return false;
  if (affine->clamp < 0 || (has.clamp_required && affine->clamp == 0)) {
    return fields.Fail(absl::StrCat("clamp is ", affine->clamp, "; ", map, " takes ",
                                    has.clamp_required ? "a positive one" : "0 or more"));
  }
  return (has.offset || MustBe(&fields, 0, "offset", affine->offset, map)) &&
         (has.epsilon || MustBe(&fields, 0, "epsilon", affine->epsilon, map)) &&
         (has.clamp || MustBe(&fields, 0, "clamp", affine->clamp, map));
}

bool ReadSplineTransform(FlowSource* source, const Json* json, const Place& place, SplineTransform* spline) {
  Fields fields(source, json, place);
  if (!fields.Integer("bins", 1, kMaxSplineBins, &spline->bins) ||
      !fields.Number("tail_bound", &spline->tail_bound) ||
      !fields.Number("min_bin_width", &spline->min_bin_width) ||
      !fields.Number("min_bin_height", &spline->min_bin_height) ||
      !fields.Number("min_derivative", &spline->min_derivative) ||
      !fields.Number("width_height_scale", &spline->width_height_scale) ||
      !fields.Enum("parametrization", kSplineParametrizationNames, &spline->parametrization) ||
      !fields.Done()) {
    return false;
  }
  if (!(spline->tail_bound > 0 && spline->tail_bound <= kMaxTailBound)) {
    return fields.Fail(absl::StrCat("tail_bound is ", spline->tail_bound, "; a positive one, at most ",
                                    kMaxTailBound, ", is expected"));
  }
  if (!LeavesRoom(&fields, spline->bins, "min_bin_width", spline->min_bin_width) ||
      !LeavesRoom(&fields, spline->bins, "min_bin_height", spline->min_bin_height) ||
      !NotNegative(&fields, "min_derivative", spline->min_derivative)) {
    return false;
  }
  if (spline->parametrization == SplineParametrization::kSoftmax) return true;
  const char* kind = NameOf(kSplineParametrizationNames, spline->parametrization);
  return MustBe(&fields, 0, "min_bin_width", spline->min_bin_width, kind) &&
         MustBe(&fields, 0, "min_bin_height", spline->min_bin_height, kind) &&
         MustBe(&fields, 0, "min_derivative", spline->min_derivative, kind) &&
         MustBe(&fields, 1, "width_height_scale", spline->width_height_scale, kind);
}

}  // namespace glowworm
