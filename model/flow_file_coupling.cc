// Reads the layers whose parameters a net gives. Entries: ReadCoupling(), ReadAutoregressive(). Tested by
// tests/model/flow_file_layer_test.cc, tests/model/flow_file_spline_test.cc and
// tests/model/flow_file_autoregressive_test.cc.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"
#include "model/masked_net.h"

namespace glowworm {
namespace {

// The numbers that the net gives for each of the numbers it transforms.
int64_t BlockSize(const AffineTransform&) { return 2; }
int64_t BlockSize(const AdditiveTransform&) { return 1; }
int64_t BlockSize(const SplineTransform& spline) { return 3 * spline.bins - 1; }

bool Partition(Fields* fields, const Coupling& coupling, int64_t channels) {
  std::vector<int64_t> both = coupling.identity;
  both.insert(both.end(), coupling.transformed.begin(), coupling.transformed.end());
  std::sort(both.begin(), both.end());
  const auto twin = std::adjacent_find(both.begin(), both.end());
  if (twin != both.end()) {
    return fields->Fail(absl::StrCat("channel ", *twin, " is both in identity and in transformed"));
  }
  if (static_cast<int64_t>(both.size()) == channels) return true;
  return fields->Fail(
      absl::StrCat("identity and transformed list ", both.size(), " channels; the event has ", channels));
}

bool ReadIdentitySpline(FlowSource* source, const Json* json, const Place& place, int64_t kept,
                        IdentitySpline* identity) {
  Fields fields(source, json, place);
  const Json* spline = fields.Need("spline");
  if (spline == nullptr || !ReadSplineTransform(source, spline, place.Field("spline"), &identity->spline)) {
    return false;
  }
  const int64_t bins = identity->spline.bins;
  return fields.Floats("widths", {{kept, bins}}, &identity->widths) &&
         fields.Floats("heights", {{kept, bins}}, &identity->heights) &&
         fields.Floats("derivatives", {{kept, bins - 1}}, &identity->derivatives) && fields.Done();
}

}  // namespace

bool ReadCoupling(FlowSource* source, const Json* json, const Place& place, const EventShape& in,
                  int64_t context_size, Coupling* coupling) {
  Fields fields(source, json, place);
  const std::string kind = fields.OneOf({"affine", "additive", "spline"});
  if (kind.empty()) return false;
  const Json* transform = fields.Need(kind);
  const Json* net = fields.Need("net");
  const Json* identity_spline = fields.Optional("identity_spline");
  if (!fields.Indices("identity", kAny, in.channels, &coupling->identity) ||
      !fields.Indices("transformed", kAny, in.channels, &coupling->transformed) || !fields.Done() ||
      !Partition(&fields, *coupling, in.channels)) {
    return false;
  }
  const int64_t kept = static_cast<int64_t>(coupling->identity.size());
  const int64_t moved = static_cast<int64_t>(coupling->transformed.size());

  const Place at = place.Field(kind);
  if (kind == "affine") {
    auto& affine = coupling->transform.emplace<AffineTransform>();
    if (!ReadAffineTransform(source, transform, at, &affine)) return false;
  } else if (kind == "spline") {
    auto& spline = coupling->transform.emplace<SplineTransform>();
    if (!ReadSplineTransform(source, transform, at, &spline)) return false;
  } else {
    coupling->transform.emplace<AdditiveTransform>();
    if (!Fields(source, transform, at).Done()) return false;
  }
  if (identity_spline != nullptr &&
      !ReadIdentitySpline(source, identity_spline, place.Field("identity_spline"), kept,
                          &coupling->identity_spline.emplace())) {
    return false;
  }
  const int64_t block = std::visit([](const auto& t) { return BlockSize(t); }, coupling->transform);
  return ReadNet(source, net, place.Field("net"), {kept, in.image, context_size}, moved * block,
                 &coupling->net);
}

bool ReadAutoregressive(FlowSource* source, const Json* json, const Place& place, const EventShape& in,
                        int64_t context_size, Autoregressive* autoregressive) {
  Fields fields(source, json, place);
  if (in.image) return fields.Fail("autoregressive is for tabular events; the event here is an image");
  const std::string kind = fields.OneOf({"affine", "spline"});
  if (kind.empty()) return false;
  const Json* transform = fields.Need(kind);
  const Json* net = fields.Need("net");
  if (!fields.Indices("order", in.channels, in.channels, &autoregressive->order) ||
      !fields.Enum("parallel", kParallelDirectionNames, &autoregressive->parallel) || !fields.Done()) {
    return false;
  }
  if (kind == "affine") {
    auto& affine = autoregressive->transform.emplace<AffineTransform>();
    if (!ReadAffineTransform(source, transform, place.Field(kind), &affine)) return false;
  } else {
    auto& spline = autoregressive->transform.emplace<SplineTransform>();
    if (!ReadSplineTransform(source, transform, place.Field(kind), &spline)) return false;
  }
  const int64_t block = std::visit([](const auto& t) { return BlockSize(t); }, autoregressive->transform);
  const Place net_place = place.Field("net");
  if (!ReadNet(source, net, net_place, {in.channels, false, context_size}, in.channels * block,
               &autoregressive->net)) {
    return false;
  }
  const absl::Status masked =
      CheckAutoregressive(autoregressive->net, autoregressive->order, block, context_size);
  return masked.ok() || source->Fail(net_place, masked.message());
}

}  // namespace glowworm
