// Reads conditioner networks and follows their widths. Entry: ReadNet(). Tested by
// tests/model/flow_file_net_test.cc.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"

namespace glowworm {
namespace {

// Reads the ops of one net in turn; `width_` is the width after the last one read.
class NetReader {
 public:
  NetReader(FlowSource* source, const NetInput& input, int64_t max_width, int depth)
      : source_(source), input_(input), max_width_(max_width), depth_(depth), width_(input.width) {}

  int64_t width() const { return width_; }

  bool Read(const Json* json, const Place& place, Net* net) {
    Fields fields(source_, json, place);
    const Json* ops = fields.Need("ops");
    if (!fields.Done()) return false;
    const auto* items = ops->As<Json::Array>();
    if (items == nullptr) return fields.Fail("field 'ops' is not an array");
    if (items->size() > kMaxNetOps) {
      return fields.Fail(absl::StrCat(items->size(), " ops; at most ", kMaxNetOps, " are read"));
    }
    net->ops.reserve(items->size());
    for (size_t i = 0; i < items->size(); ++i) {
      net->ops.emplace_back();
      if (!ReadOp((*items)[i], place.Field("ops").Item(i), &net->ops.back())) return false;
    }
    return true;
  }

 private:
  bool ReadOp(const Json& json, const Place& place, NetOp* op) {
    Fields choice(source_, &json, place);
    const std::string kind = choice.OneOf({"dense", "conv", "activation", "residual", "concat_context"});
    if (kind.empty()) return false;
    const Json* body = choice.Need(kind);
    if (!choice.Done()) return false;
    Fields fields(source_, body, place.Field(kind));
    if (kind == "dense") return ReadDense(&fields, &op->op.emplace<Dense>());
    if (kind == "conv") return ReadConv(&fields, &op->op.emplace<Conv>());
    if (kind == "activation") return ReadActivation(&fields, &op->op.emplace<Activation>());
    if (kind == "residual") return ReadResidual(&fields, &op->op.emplace<Residual>());
    op->op.emplace<ConcatContext>();
    return ReadConcatContext(&fields);
  }

  bool ReadDense(Fields* fields, Dense* dense) {
    if (input_.image) return fields->Fail("dense is for nets over rows; this net reads an image");
    std::vector<int64_t> shape;
    if (!fields->Floats("weight", {{kAny, width_}}, &dense->weight, &shape)) return false;
    dense->out = shape[0];
    dense->in = shape[1];
    return fields->OptionalFloats("bias", {dense->out}, &dense->bias) && fields->Done() &&
           SetWidth(fields, dense->out);
  }

  bool ReadConv(Fields* fields, Conv* conv) {
    if (!input_.image) return fields->Fail("conv is for nets over images; this net reads rows");
    if (!fields->Enum("pad", kPadNames, &conv->pad)) return false;
    const int64_t in = conv->pad == Pad::kEdgeChannel ? width_ + 1 : width_;
    std::vector<int64_t> shape;
    if (!fields->Floats("weight", {{kAny, in, kAny, kAny}}, &conv->weight, &shape)) return false;
    conv->out = shape[0];
    conv->in = shape[1];
    conv->k = shape[2];
    if (shape[3] != conv->k || conv->k % 2 == 0 || conv->k > kMaxKernel) {
      return fields->Fail(absl::StrCat("the kernel is ", shape[2], " x ", shape[3],
                                       "; k x k with an odd k of at most ", kMaxKernel, " is expected"));
    }
    return fields->OptionalFloats("bias", {conv->out}, &conv->bias) && fields->Done() &&
           SetWidth(fields, conv->out);
  }

  bool ReadActivation(Fields* fields, Activation* activation) {
    if (!fields->Enum("kind", kActivationNames, &activation->kind)) return false;
    if (activation->kind == ActivationKind::kLeakyRelu) {
      if (!fields->Number("slope", &activation->slope)) return false;
    } else if (fields->Optional("slope") != nullptr) {
      return fields->Fail("field 'slope' is for LEAKY_RELU only");
    }
    return fields->Done();
  }

  bool ReadResidual(Fields* fields, Residual* residual) {
    if (depth_ == kMaxResidualDepth) {
      return fields->Fail(absl::StrCat("residuals nest deeper than ", kMaxResidualDepth));
    }
    const Json* body = fields->Need("body");
    if (body == nullptr) return false;
    NetReader inner(source_, {width_, input_.image, input_.context_size}, max_width_, depth_ + 1);
    if (!inner.Read(body, fields->place().Field("body"), &residual->body)) return false;
    if (inner.width() != width_) {
      return fields->Fail(absl::StrCat("the body turns ", width_, " channels into ", inner.width(),
                                       "; it must keep their number"));
    }
    if (const Json* gate = fields->Optional("context_gate")) {
      Fields gate_fields(source_, gate, fields->place().Field("context_gate"));
      if (!ReadGate(&gate_fields, &residual->context_gate.emplace())) return false;
    }
    return fields->Done();
  }

  bool ReadGate(Fields* fields, ContextGate* gate) {
    if (input_.context_size == 0) return fields->Fail("the flow takes no context");
    gate->out = width_;
    gate->context_size = input_.context_size;
    return fields->Floats("weight", {{gate->out, gate->context_size}}, &gate->weight) &&
           fields->Floats("bias", {{gate->out}}, &gate->bias) && fields->Done();
  }

  bool ReadConcatContext(Fields* fields) {
    if (input_.image) return fields->Fail("concat_context is for nets over rows; this net reads an image");
    if (input_.context_size == 0) return fields->Fail("the flow takes no context");
    return fields->Done() && SetWidth(fields, width_ + input_.context_size);
  }

  bool SetWidth(Fields* fields, int64_t width) {
    if (width > max_width_) {
      return fields->Fail(
          absl::StrCat("the net is ", width, " channels wide; at most ", max_width_, " is read"));
    }
    width_ = width;
    return true;
  }

  FlowSource* const source_;
  const NetInput input_;
  const int64_t max_width_;
  const int depth_;
  int64_t width_;
};

}  // namespace

bool ReadNet(FlowSource* source, const Json* json, const Place& place, const NetInput& input, int64_t out,
             Net* net) {
  // A layer may ask for more numbers than a net is else given.
  NetReader reader(source, input, std::max(kMaxNetWidth, out), 0);
  if (!reader.Read(json, place, net)) return false;
  if (reader.width() == out) return true;
  return source->Fail(place,
                      absl::StrCat("the net gives ", reader.width(), " channels; ", out, " are expected"));
}

}  // namespace glowworm
