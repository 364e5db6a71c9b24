// Reads layers. Entry: ReadLayer(). Tested by tests/model/flow_file_layer_test.cc.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"

namespace glowworm {
namespace {

// One layer's surroundings.
struct Scope {
  FlowSource* source;
  Place place;
  EventShape in;
  int64_t context_size;
};

bool ReadAffine(const Scope& scope, const Json* json, Affine* affine) {
  Fields fields(scope.source, json, scope.place);
  std::vector<std::vector<int64_t>> shapes = {{scope.in.channels}};
  if (scope.in.image) shapes.push_back({scope.in.channels, scope.in.height, scope.in.width});
  std::vector<int64_t> shape;
  if (!fields.Floats("scale", shapes, &affine->scale, &shape)) return false;
  affine->per_element = shape.size() == 3;
  if (!fields.Floats("shift", {shape}, &affine->shift) || !fields.Done()) return false;
  if (std::find(affine->scale.begin(), affine->scale.end(), 0.0) == affine->scale.end()) return true;
  return fields.Fail("the scale holds a zero");
}

bool ReadPermutation(const Scope& scope, const Json* json, Permutation* permutation) {
  Fields fields(scope.source, json, scope.place);
  return fields.Indices("index", scope.in.channels, scope.in.channels, &permutation->index) && fields.Done();
}

bool ReadSqueeze(const Scope& scope, const Json* json, Squeeze* squeeze) {
  Fields fields(scope.source, json, scope.place);
  if (!fields.Enum("order", kSqueezeOrderNames, &squeeze->order) || !fields.Done()) return false;
  const EventShape& in = scope.in;
  if (!in.image) return fields.Fail("squeeze is for images; the event here is tabular");
  if (in.height % 2 != 0 || in.width % 2 != 0) {
    return fields.Fail(absl::StrCat("squeeze of ", in.height, " x ", in.width,
                                    " positions; an even height and width are expected"));
  }
  if (4 * in.channels > kMaxChannels) {
    return fields.Fail(
        absl::StrCat("squeeze gives ", 4 * in.channels, " channels; at most ", kMaxChannels, " are read"));
  }
  return true;
}

bool ReadSplit(const Scope& scope, const Json* json, Split* split) {
  Fields fields(scope.source, json, scope.place);
  const Json* prior = nullptr;
  if (!fields.Enum("emit", kHalfNames, &split->emit) || (prior = fields.Need("prior")) == nullptr ||
      !fields.Done()) {
    return false;
  }
  if (scope.in.channels < 2) return fields.Fail("split of 1 channel; 2 or more are expected");
  const int64_t first = (scope.in.channels + 1) / 2;
  const int64_t second = scope.in.channels - first;
  EventShape emitted = scope.in;
  emitted.channels = split->emit == Half::kFirst ? first : second;
  const NetInput kept = {scope.in.channels - emitted.channels, scope.in.image, scope.context_size};
  return ReadBase(scope.source, prior, scope.place.Field("prior"), emitted, &kept, &split->prior);
}

bool ReadLogit(const Scope& scope, const Json* json, Logit* logit) {
  Fields fields(scope.source, json, scope.place);
  if (!fields.Number("alpha", &logit->alpha) || !fields.Done()) return false;
  if (logit->alpha >= 0 && logit->alpha < 0.5) return true;
  return fields.Fail(absl::StrCat("alpha is ", logit->alpha, "; 0 or more and less than 0.5 is expected"));
}

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

bool ReadAffineTransform(Fields* fields, AffineTransform* affine) {
  if (!fields->Enum("scale_map", kScaleMapNames, &affine->scale_map) ||
      !fields->Enum("order", kAffineOrderNames, &affine->order) ||
      !fields->Number("offset", &affine->offset) || !fields->Number("epsilon", &affine->epsilon) ||
      !fields->Number("clamp", &affine->clamp) || !fields->Done()) {
    return false;
  }
  const char* map = NameOf(kScaleMapNames, affine->scale_map);
  const ScaleMapNumbers has = NumbersOf(affine->scale_map);
  if (affine->epsilon < 0) {
    return fields->Fail(absl::StrCat("epsilon is ", affine->epsilon, "; 0 or more is expected"));
  }
  if (affine->clamp < 0 || (has.clamp_required && affine->clamp == 0)) {
    return fields->Fail(absl::StrCat("clamp is ", affine->clamp, "; ", map, " takes ",
                                     has.clamp_required ? "a positive one" : "0 or more"));
  }
  const auto must_be_zero = [&](bool taken, const char* name, double value) {
    if (taken || value == 0) return true;
    return fields->Fail(absl::StrCat(name, " is ", value, "; ", map, " takes none, so that it must be 0"));
  };
  return must_be_zero(has.offset, "offset", affine->offset) &&
         must_be_zero(has.epsilon, "epsilon", affine->epsilon) &&
         must_be_zero(has.clamp, "clamp", affine->clamp);
}

bool ReadCoupling(const Scope& scope, const Json* json, Coupling* coupling) {
  Fields fields(scope.source, json, scope.place);
  const std::string kind = fields.OneOf({"affine", "additive", "spline"});
  if (kind.empty()) return false;
  if (kind == "spline") return fields.Fail("spline couplings are not supported by this version");
  if (fields.Optional("identity_spline") != nullptr) {
    return fields.Fail("identity splines are not supported by this version");
  }
  const Json* transform = fields.Need(kind);
  const Json* net = fields.Need("net");
  const int64_t channels = scope.in.channels;
  if (!fields.Indices("identity", kAny, channels, &coupling->identity) ||
      !fields.Indices("transformed", kAny, channels, &coupling->transformed) || !fields.Done()) {
    return false;
  }
  const int64_t kept = static_cast<int64_t>(coupling->identity.size());
  const int64_t moved = static_cast<int64_t>(coupling->transformed.size());
  std::vector<int64_t> both = coupling->identity;
  both.insert(both.end(), coupling->transformed.begin(), coupling->transformed.end());
  std::sort(both.begin(), both.end());
  const auto twin = std::adjacent_find(both.begin(), both.end());
  if (twin != both.end()) {
    return fields.Fail(absl::StrCat("channel ", *twin, " is both in identity and in transformed"));
  }
  if (kept + moved != channels) {
    return fields.Fail(
        absl::StrCat("identity and transformed list ", kept + moved, " channels; the event has ", channels));
  }

  Fields transform_fields(scope.source, transform, scope.place.Field(kind));
  int64_t out = moved;
  if (kind == "affine") {
    out = 2 * moved;
    if (!ReadAffineTransform(&transform_fields, &coupling->transform.emplace<AffineTransform>()))
      return false;
  } else {
    coupling->transform.emplace<AdditiveTransform>();
    if (!transform_fields.Done()) return false;
  }
  const NetInput input = {kept, scope.in.image, scope.context_size};
  return ReadNet(scope.source, net, scope.place.Field("net"), input, out, &coupling->net);
}

bool IsLayerName(absl::string_view name) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  return !name.empty() && name.size() <= kMaxLayerName && std::all_of(name.begin(), name.end(), printable);
}

}  // namespace

bool ReadLayer(FlowSource* source, const Json& json, size_t index, const EventShape& in, int64_t context_size,
               Layer* layer) {
  Fields nameless(source, &json, {absl::StrCat("layers[", index, "]"), ""});
  if (!nameless.Text("name", &layer->name)) return false;
  if (!IsLayerName(layer->name)) {
    return nameless.Fail(absl::StrCat("the name ", Quoted(layer->name), " is not 1 to ", kMaxLayerName,
                                      " printable ASCII bytes"));
  }
  const Place place = {absl::StrCat("layer ", Quoted(layer->name)), ""};
  Fields fields(source, &json, place);
  fields.Need("name");
  const std::string kind = fields.OneOf(
      {"affine", "linear", "permutation", "coupling", "autoregressive", "squeeze", "split", "logit"});
  if (kind.empty()) return false;
  const Json* body = fields.Need(kind);
  if (!fields.Done()) return false;
  if (kind == "autoregressive") return fields.Fail("autoregressive layers are not supported by this version");

  const Scope scope = {source, place, in, context_size};
  if (kind == "affine") return ReadAffine(scope, body, &layer->op.emplace<Affine>());
  if (kind == "linear") return ReadLinear(source, body, place, in.channels, &layer->op.emplace<Linear>());
  if (kind == "permutation") return ReadPermutation(scope, body, &layer->op.emplace<Permutation>());
  if (kind == "squeeze") return ReadSqueeze(scope, body, &layer->op.emplace<Squeeze>());
  if (kind == "split") return ReadSplit(scope, body, &layer->op.emplace<Split>());
  if (kind == "logit") return ReadLogit(scope, body, &layer->op.emplace<Logit>());
  return ReadCoupling(scope, body, &layer->op.emplace<Coupling>());
}

}  // namespace glowworm
