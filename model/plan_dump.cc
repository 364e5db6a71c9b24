// Dump: a Plan as text, one op a line. Tested by tests/model/plan_test.cc.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/plan.h"

namespace glowworm {
namespace {

std::string ShapeText(const EventShape& s) {
  return s.image ? absl::StrCat(s.channels, "x", s.height, "x", s.width) : absl::StrCat(s.channels);
}

std::string NetText(const Net& net) {
  std::string text;
  for (const NetOp& op : net.ops) {
    if (!text.empty()) text += " ";
    if (const auto* dense = std::get_if<Dense>(&op.op)) {
      absl::StrAppend(&text, "dense", dense->in, ">", dense->out);
    } else if (const auto* conv = std::get_if<Conv>(&op.op)) {
      absl::StrAppend(&text, "conv", conv->k, "x", conv->k, ":", conv->in, ">", conv->out);
    } else if (const auto* activation = std::get_if<Activation>(&op.op)) {
      constexpr const char* kNames[] = {"relu", "leaky_relu", "tanh",    "elu",
                                        "silu", "gelu",       "sigmoid", "softplus"};
      absl::StrAppend(&text, kNames[static_cast<int>(activation->kind)]);
    } else if (const auto* residual = std::get_if<Residual>(&op.op)) {
      absl::StrAppend(&text, residual->context_gate ? "gated_residual(" : "residual(",
                      NetText(residual->body), ")");
    } else {
      text += "concat_context";
    }
  }
  return text;
}

const char* NameOf(ScaleMap map) {
  constexpr const char* kNames[] = {"exp",      "sigmoid",  "inverse_sigmoid", "softplus",
                                    "tanh_exp", "atan_exp", "softclip_exp"};
  return kNames[static_cast<int>(map)];
}

std::string SplineText(const SplineTransform& spline) {
  return absl::StrFormat("%s, %d bins on +-%g",
                         spline.parametrization == SplineParametrization::kSoftmax ? "softmax" : "softclip",
                         spline.bins, spline.tail_bound);
}

struct OpText {
  std::string operator()(const ElementwiseAffine& op) const {
    return absl::StrCat("affine of ", op.scale.size());
  }
  std::string operator()(const ChannelMix& op) const {
    return absl::StrCat("mix ", op.channels, "x", op.channels, op.wide ? " in float64" : "");
  }
  std::string operator()(const SqueezeMove& op) const {
    return op.order == SqueezeOrder::kChannelMajor ? "squeeze channel-major" : "squeeze spatial-major";
  }
  std::string operator()(const LogitMap& op) const { return absl::StrFormat("logit alpha %g", op.alpha); }
  std::string operator()(const AffineCoupling& op) const {
    return absl::StrCat("affine coupling ", op.identity.size(), "+", op.transformed.size(), " ",
                        NameOf(op.transform.scale_map),
                        op.transform.order == AffineOrder::kScaleThenShift ? " scale-shift" : " shift-scale",
                        " [", NetText(op.net), "]");
  }
  std::string operator()(const AdditiveCoupling& op) const {
    return absl::StrCat("additive coupling ", op.identity.size(), "+", op.transformed.size(), " [",
                        NetText(op.net), "]");
  }
  std::string operator()(const SplineCoupling& op) const {
    return absl::StrCat("spline coupling ", op.identity.size(), "+", op.transformed.size(), " ",
                        SplineText(op.transform), " [", NetText(op.net), "]");
  }
  std::string operator()(const FixedSpline& op) const {
    return absl::StrCat("fixed spline of ", op.channels.size(), " ", SplineText(op.transform));
  }
  std::string operator()(const AutoregressiveMap& op) const {
    const auto* affine = std::get_if<AffineTransform>(&op.transform);
    return absl::StrCat(
        "autoregressive ", op.features.size(),
        op.parallel == ParallelDirection::kForward ? " parallel forward " : " parallel inverse ",
        affine != nullptr ? std::string("affine ") + NameOf(affine->scale_map)
                          : SplineText(std::get<SplineTransform>(op.transform)),
        " [", NetText(op.net), "]");
  }
  std::string operator()(const EmitLatent& op) const {
    std::string text =
        absl::StrCat("emit ", op.emit.size(), " keep ", op.keep.size(), " at ", op.latent_offset, " ");
    switch (op.density.kind) {
      case NormalDensity::Kind::kFixed:
        return text + "normal";
      case NormalDensity::Kind::kClass:
        return absl::StrCat(text, op.density.num_classes, " class normals");
      case NormalDensity::Kind::kNet:
        return absl::StrCat(text, "net normal [", NetText(op.density.net), "]");
    }
    return text;
  }
};

}  // namespace

std::string Dump(const Plan& plan) {
  std::string text =
      absl::StrFormat("flow of %s, context %d, classes %d, constant %.6f\n", ShapeText(plan.event),
                      plan.context_size, plan.num_classes, plan.constant_log_det);
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    const PlanOp& op = plan.ops[i];
    absl::StrAppend(&text, i < plan.leading ? "f64 " : "    ", ShapeText(op.in), " ", op.name, ": ",
                    std::visit(OpText{}, op.op), "\n");
  }
  return text;
}

}  // namespace glowworm
