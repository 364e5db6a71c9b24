// The flow-file writer. Entry: SerializeFlow(). Tested by tests/model/flow_file_test.cc.

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/flow_file.h"
#include "model/flow_file_names.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace glowworm {
namespace {

using Out = nlohmann::ordered_json;  // fields in the order they are written here

int64_t Size(const std::vector<double>& values) { return static_cast<int64_t>(values.size()); }
int64_t Size(const std::vector<int64_t>& values) { return static_cast<int64_t>(values.size()); }

// Turns one flow into JSON, gathering its tensors. `place` is the dotted prefix of a part's tensor names;
// each function returns the fields of its part.
class Writer {
 public:
  std::string Write(const FlowSpec& spec) {
    Out flow = {{"format", 1}, {"name", spec.name}, {"description", spec.description}};
    flow["event_shape"] = EventDimensions(spec.event);
    flow["context_size"] = spec.context_size;
    flow["layers"] = Out::array();
    EventShape shape = spec.event;
    for (const Layer& layer : spec.layers) {
      flow["layers"].push_back(LayerFields(layer, shape));
      shape = ShapeAfter(layer, shape);
    }
    flow["base"] = BaseFields("base", spec.base, shape);
    if (spec.calibration.has_value()) {
      const std::vector<double>& quantile = spec.calibration->log_likelihood;
      const std::vector<double>& p = spec.calibration->probability;
      flow["calibration"]["log_likelihood"] =
          Floats("calibration.log_likelihood", {Size(quantile)}, quantile);
      flow["calibration"]["probability"] = Floats("calibration.probability", {Size(p)}, p);
    }
    flow["provenance"] = Out::object();
    for (const auto& [key, text] : spec.provenance) flow["provenance"][key] = text;
    std::string text = flow.dump(-1, ' ', false, Out::error_handler_t::replace);
    return SerializeSafetensors({{"glowworm.flow", std::move(text)}}, std::move(tensors_));
  }

 private:
  static std::vector<int64_t> EventDimensions(const EventShape& event) {
    if (event.image) return {event.channels, event.height, event.width};
    return {event.channels};
  }

  // A name no other tensor has: those of layer "a", net op "0.weight" and layer "a.net.0", field "weight"
  // would meet.
  std::string FreeName(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 2; !names_.insert(name).second; ++i) name = absl::StrCat(wanted, "~", i);
    return name;
  }

  std::string Floats(const std::string& name, std::vector<int64_t> shape, const std::vector<double>& values) {
    tensors_.push_back(CompactTensor(FreeName(name), std::move(shape), values));
    return tensors_.back().name;
  }

  std::string Indices(const std::string& name, const std::vector<int64_t>& values) {
    tensors_.push_back(IndexTensor(FreeName(name), {Size(values)}, values));
    return tensors_.back().name;
  }

  Out NetFields(const std::string& place, const Net& net) {
    Out ops = Out::array();
    for (const NetOp& op : net.ops) {
      const std::string here = absl::StrCat(place, ".", ops.size());
      ops.push_back(std::visit([&](const auto& o) { return OpFields(here, o); }, op.op));
    }
    return {{"ops", std::move(ops)}};
  }

  Out OpFields(const std::string& place, const Dense& dense) {
    Out fields = {{"weight", Floats(place + ".weight", {dense.out, dense.in}, dense.weight)}};
    if (!dense.bias.empty()) fields["bias"] = Floats(place + ".bias", {dense.out}, dense.bias);
    return {{"dense", std::move(fields)}};
  }

  Out OpFields(const std::string& place, const Conv& conv) {
    Out fields = {{"weight", Floats(place + ".weight", {conv.out, conv.in, conv.k, conv.k}, conv.weight)}};
    if (!conv.bias.empty()) fields["bias"] = Floats(place + ".bias", {conv.out}, conv.bias);
    fields["pad"] = NameOf(kPadNames, conv.pad);
    return {{"conv", std::move(fields)}};
  }

  Out OpFields(const std::string& /*place*/, const Activation& activation) {
    Out fields = {{"kind", NameOf(kActivationNames, activation.kind)}};
    if (activation.kind == ActivationKind::kLeakyRelu) fields["slope"] = activation.slope;
    return {{"activation", std::move(fields)}};
  }

  Out OpFields(const std::string& place, const Residual& residual) {
    Out fields = {{"body", NetFields(place, residual.body)}};
    if (residual.context_gate.has_value()) {
      const ContextGate& gate = *residual.context_gate;
      Out& gate_fields = fields["context_gate"];
      gate_fields["weight"] = Floats(place + ".gate.weight", {gate.out, gate.context_size}, gate.weight);
      gate_fields["bias"] = Floats(place + ".gate.bias", {gate.out}, gate.bias);
    }
    return {{"residual", std::move(fields)}};
  }

  Out OpFields(const std::string& /*place*/, const ConcatContext& /*concat*/) {
    return {{"concat_context", Out::object()}};
  }

  // `event`: what the base is of.
  Out BaseFields(const std::string& place, const Base& base, const EventShape& event) {
    if (const auto* diag = std::get_if<DiagNormal>(&base)) {
      const std::vector<int64_t> shape =
          diag->per_element ? EventDimensions(event) : std::vector<int64_t>{event.channels};
      Out fields = {{"mean", Floats(place + ".mean", shape, diag->mean)},
                    {"log_scale", Floats(place + ".log_scale", shape, diag->log_scale)}};
      return {{"diag_normal", std::move(fields)}};
    }
    if (const auto* classes = std::get_if<ClassNormal>(&base)) {
      const int64_t k = classes->num_classes;
      Out fields = {{"mean", Floats(place + ".mean", {k, event.size()}, classes->mean)},
                    {"log_scale", Floats(place + ".log_scale", {k, event.size()}, classes->log_scale)},
                    {"log_weight", Floats(place + ".log_weight", {k}, classes->log_weight)}};
      return {{"class_normal", std::move(fields)}};
    }
    if (const auto* net = std::get_if<NetNormal>(&base)) {
      Out fields = {{"net", NetFields(place + ".net", net->net)}};
      return {{"net_normal", std::move(fields)}};
    }
    return {{"standard_normal", Out::object()}};
  }

  Out LayerFields(const Layer& layer, const EventShape& in) {
    Out fields = {{"name", layer.name}};
    std::visit([&](const auto& op) { AddOp(layer.name, op, in, &fields); }, layer.op);
    return fields;
  }

  void AddOp(const std::string& place, const Affine& affine, const EventShape& in, Out* fields) {
    const std::vector<int64_t> shape =
        affine.per_element ? EventDimensions(in) : std::vector<int64_t>{in.channels};
    (*fields)["affine"]["scale"] = Floats(place + ".scale", shape, affine.scale);
    (*fields)["affine"]["shift"] = Floats(place + ".shift", shape, affine.shift);
  }

  void AddOp(const std::string& place, const Linear& linear, const EventShape& in, Out* fields) {
    Out& out = (*fields)["linear"];
    std::visit([&](const auto& matrix) { AddMatrix(place, matrix, in.channels, &out); }, linear.matrix);
    if (!linear.bias.empty()) out["bias"] = Floats(place + ".bias", {in.channels}, linear.bias);
  }

  void AddMatrix(const std::string& place, const PluFactors& plu, int64_t channels, Out* fields) {
    Out& out = (*fields)["plu"];
    out["permutation"] = Indices(place + ".permutation", plu.permutation);
    out["side"] = NameOf(kSideNames, plu.side);
    out["lower"] = Floats(place + ".lower", {Size(plu.lower)}, plu.lower);
    AddUpper(place, plu.upper, plu.log_abs_s, plu.sign_s, &out);
  }

  void AddMatrix(const std::string& place, const QrFactors& qr, int64_t channels, Out* fields) {
    Out& out = (*fields)["qr"];
    out["reflectors"] = Floats(place + ".reflectors", {qr.num_reflectors, channels}, qr.reflectors);
    AddUpper(place, qr.upper, qr.log_abs_s, qr.sign_s, &out);
  }

  void AddMatrix(const std::string& place, const FullMatrix& full, int64_t channels, Out* fields) {
    (*fields)["full"]["weight"] = Floats(place + ".weight", {channels, channels}, full.weight);
  }

  // U + diag s.
  void AddUpper(const std::string& place, const std::vector<double>& upper,
                const std::vector<double>& log_abs_s, const std::vector<double>& sign_s, Out* fields) {
    (*fields)["upper"] = Floats(place + ".upper", {Size(upper)}, upper);
    (*fields)["log_abs_s"] = Floats(place + ".log_abs_s", {Size(log_abs_s)}, log_abs_s);
    (*fields)["sign_s"] = Floats(place + ".sign_s", {Size(sign_s)}, sign_s);
  }

  void AddOp(const std::string& place, const Permutation& permutation, const EventShape& /*in*/,
             Out* fields) {
    (*fields)["permutation"]["index"] = Indices(place + ".index", permutation.index);
  }

  void AddOp(const std::string& /*place*/, const Squeeze& squeeze, const EventShape& /*in*/, Out* fields) {
    (*fields)["squeeze"]["order"] = NameOf(kSqueezeOrderNames, squeeze.order);
  }

  void AddOp(const std::string& place, const Split& split, const EventShape& in, Out* fields) {
    EventShape emitted = in;
    const int64_t first = (in.channels + 1) / 2;
    emitted.channels = split.emit == Half::kFirst ? first : in.channels - first;
    (*fields)["split"]["emit"] = NameOf(kHalfNames, split.emit);
    (*fields)["split"]["prior"] = BaseFields(place + ".prior", split.prior, emitted);
  }

  void AddOp(const std::string& /*place*/, const Logit& logit, const EventShape& /*in*/, Out* fields) {
    (*fields)["logit"]["alpha"] = logit.alpha;
  }

  void AddOp(const std::string& place, const Coupling& coupling, const EventShape& /*in*/, Out* fields) {
    Out& out = (*fields)["coupling"];
    out["identity"] = Indices(place + ".identity", coupling.identity);
    out["transformed"] = Indices(place + ".transformed", coupling.transformed);
    out["net"] = NetFields(place + ".net", coupling.net);
    std::visit([&](const auto& transform) { AddTransform(transform, &out); }, coupling.transform);
    if (!coupling.identity_spline.has_value()) return;
    const IdentitySpline& identity = *coupling.identity_spline;
    const int64_t channels = Size(coupling.identity);
    const int64_t bins = identity.spline.bins;
    Out& spline_out = out["identity_spline"];
    const std::string here = place + ".identity_spline";
    spline_out["widths"] = Floats(here + ".widths", {channels, bins}, identity.widths);
    spline_out["heights"] = Floats(here + ".heights", {channels, bins}, identity.heights);
    spline_out["derivatives"] = Floats(here + ".derivatives", {channels, bins - 1}, identity.derivatives);
    AddTransform(identity.spline, &spline_out);
  }

  void AddOp(const std::string& place, const Autoregressive& autoregressive, const EventShape& /*in*/,
             Out* fields) {
    Out& out = (*fields)["autoregressive"];
    out["order"] = Indices(place + ".order", autoregressive.order);
    out["net"] = NetFields(place + ".net", autoregressive.net);
    out["parallel"] = NameOf(kParallelDirectionNames, autoregressive.parallel);
    std::visit([&](const auto& transform) { AddTransform(transform, &out); }, autoregressive.transform);
  }

  static void AddTransform(const AffineTransform& affine, Out* fields) {
    (*fields)["affine"] = {{"scale_map", NameOf(kScaleMapNames, affine.scale_map)},
                           {"order", NameOf(kAffineOrderNames, affine.order)},
                           {"offset", affine.offset},
                           {"epsilon", affine.epsilon},
                           {"clamp", affine.clamp}};
  }

  static void AddTransform(const AdditiveTransform& /*additive*/, Out* fields) {
    (*fields)["additive"] = Out::object();
  }

  static void AddTransform(const SplineTransform& spline, Out* fields) {
    (*fields)["spline"] = {{"bins", spline.bins},
                           {"tail_bound", spline.tail_bound},
                           {"min_bin_width", spline.min_bin_width},
                           {"min_bin_height", spline.min_bin_height},
                           {"min_derivative", spline.min_derivative},
                           {"width_height_scale", spline.width_height_scale},
                           {"parametrization", NameOf(kSplineParametrizationNames, spline.parametrization)}};
  }

  std::vector<TensorData> tensors_;
  std::set<std::string> names_;
};

}  // namespace

std::string SerializeFlow(const FlowSpec& spec) { return Writer().Write(spec); }

}  // namespace glowworm
