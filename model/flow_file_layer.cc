// Reads layers; those with a net are in flow_file_coupling.cc, linear ones in flow_file_linear.cc. Entry:
// ReadLayer(). Tested by tests/model/flow_file_layer_test.cc.

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

  const Scope scope = {source, place, in, context_size};
  if (kind == "affine") return ReadAffine(scope, body, &layer->op.emplace<Affine>());
  if (kind == "linear") return ReadLinear(source, body, place, in.channels, &layer->op.emplace<Linear>());
  if (kind == "permutation") return ReadPermutation(scope, body, &layer->op.emplace<Permutation>());
  if (kind == "squeeze") return ReadSqueeze(scope, body, &layer->op.emplace<Squeeze>());
  if (kind == "split") return ReadSplit(scope, body, &layer->op.emplace<Split>());
  if (kind == "logit") return ReadLogit(scope, body, &layer->op.emplace<Logit>());
  if (kind == "coupling") {
    return ReadCoupling(source, body, place, in, context_size, &layer->op.emplace<Coupling>());
  }
  return ReadAutoregressive(source, body, place, in, context_size, &layer->op.emplace<Autoregressive>());
}

}  // namespace glowworm
