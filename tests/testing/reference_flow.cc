// See reference_flow.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_flow.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

#include "tests/testing/reference_philox.h"

namespace glowworm {
namespace {

// The shape rules again, apart from model/flow_spec.cc.
EventShape NextShape(const Layer& layer, EventShape shape) {
  if (std::holds_alternative<Squeeze>(layer.op)) {
    shape.channels *= 4;
    shape.height /= 2;
    shape.width /= 2;
  } else if (const auto* split = std::get_if<Split>(&layer.op)) {
    const int64_t first = shape.channels - shape.channels / 2;
    shape.channels = split->emit == Half::kFirst ? shape.channels - first : first;
  }
  return shape;
}

ReferenceEvent EventOf(const EventShape& shape) {
  return ZeroEvent(shape.channels, shape.height, shape.width);
}

// The channels [begin, end) of `event`.
ReferenceEvent Channels(const ReferenceEvent& event, int64_t begin, int64_t end) {
  std::vector<int64_t> index(end - begin);
  std::iota(index.begin(), index.end(), begin);
  return PickChannels(event, index);
}

struct Halves {
  ReferenceEvent emitted, kept;
};
Halves SplitHalves(const Split& split, const ReferenceEvent& event) {
  const int64_t first = event.channels - event.channels / 2;
  ReferenceEvent a = Channels(event, 0, first);
  ReferenceEvent b = Channels(event, first, event.channels);
  if (split.emit == Half::kFirst) return {std::move(a), std::move(b)};
  return {std::move(b), std::move(a)};
}

ReferenceEvent JoinHalves(const Split& split, const ReferenceEvent& emitted, const ReferenceEvent& kept) {
  const ReferenceEvent& a = split.emit == Half::kFirst ? emitted : kept;
  const ReferenceEvent& b = split.emit == Half::kFirst ? kept : emitted;
  ReferenceEvent out = a;
  out.channels += b.channels;
  out.values.insert(out.values.end(), b.values.begin(), b.values.end());
  return out;
}

const ClassNormal* FindClassNormal(const FlowSpec& spec) {
  if (const auto* base = std::get_if<ClassNormal>(&spec.base)) return base;
  for (const Layer& layer : spec.layers) {
    const auto* split = std::get_if<Split>(&layer.op);
    if (split == nullptr) continue;
    if (const auto* prior = std::get_if<ClassNormal>(&split->prior)) return prior;
  }
  return nullptr;
}

// The terms of log p that do not hang on the class, and for each class those that do.
struct Terms {
  ReferenceEncoding* out;
  double rest = 0;
  std::vector<double> of_class;         // (K)
  std::vector<double> class_magnitude;  // (K)

  // Returns the term of `class_label`; 0 for a class_normal when no class is named.
  double AddDensity(const Base& base, const ReferenceEvent& z, const ReferenceEvent* kept,
                    const std::vector<double>& context, int class_label) {
    if (!std::holds_alternative<ClassNormal>(base)) {
      const double term = LogDensity(ParametersOf(base, z, {0, kept, context}), z.values, &out->magnitude);
      rest += term;
      return term;
    }
    double named = 0;
    for (size_t k = 0; k < of_class.size(); ++k) {
      const BaseInputs inputs{static_cast<int>(k), kept, context};
      const double term = LogDensity(ParametersOf(base, z, inputs), z.values, &class_magnitude[k]);
      of_class[k] += term;
      if (static_cast<int>(k) == class_label) named = term;
    }
    return named;
  }
};

// Joins the terms into log p of the class, or of the mixture when none is named.
void Finish(const Terms& terms, const std::vector<double>& class_weight, int class_label,
            ReferenceEncoding& out) {
  out.log_prob = terms.rest;
  std::vector<double> joint;  // (K) log weight + log p(class terms | k)
  for (size_t k = 0; k < terms.of_class.size(); ++k) {
    out.class_log_prob.push_back(terms.rest + terms.of_class[k]);
    joint.push_back(class_weight[k] + terms.of_class[k]);
  }
  if (joint.empty()) return;
  if (class_label >= 0) {
    out.log_prob += terms.of_class[class_label];
    out.magnitude += terms.class_magnitude[class_label];
    return;
  }
  const double mixture = LogSumExp(joint);
  out.log_prob += mixture;
  out.base_log_prob += mixture;
  for (size_t k = 0; k < joint.size();
       ++k) {  // an error of component k counts as much as the row is of class k
    out.magnitude += std::exp(joint[k] - mixture) * (terms.class_magnitude[k] + std::fabs(class_weight[k]));
  }
}

}  // namespace

ReferenceFlow::ReferenceFlow(const FlowSpec& spec) : spec_(spec) {
  shapes_.push_back(spec.event);
  for (const Layer& layer : spec.layers) {
    layers_.push_back(PrepareLayer(layer, shapes_.back().channels));
    shapes_.push_back(NextShape(layer, shapes_.back()));
  }
  if (const ClassNormal* classes = FindClassNormal(spec)) class_weight_ = LogSoftmax(classes->log_weight);
}

ReferenceEncoding ReferenceFlow::Encode(const std::vector<double>& x, const std::vector<double>& context,
                                        int class_label) const {
  ReferenceEncoding out;
  const std::vector<double> zeros(class_weight_.size(), 0);
  Terms terms{&out, 0, zeros, zeros};
  ReferenceEvent event = EventOf(spec_.event);
  event.values = x;
  for (const PreparedLayer& prepared : layers_) {
    if (const auto* split = std::get_if<Split>(&prepared.layer.op)) {
      const Halves halves = SplitHalves(*split, event);
      out.per_layer_log_det.push_back(
          terms.AddDensity(split->prior, halves.emitted, &halves.kept, context, class_label));
      out.latent.insert(out.latent.end(), halves.emitted.values.begin(), halves.emitted.values.end());
      event = halves.kept;
      continue;
    }
    LayerStep step = ForwardLayer(prepared, event, context);
    if (!step.in_support) {
      ReferenceEncoding outside;
      outside.in_support = false;
      outside.log_prob = -std::numeric_limits<double>::infinity();
      return outside;
    }
    event = std::move(step.event);
    terms.rest += step.log_det;
    out.magnitude += step.log_det_magnitude;
    out.per_layer_log_det.push_back(step.log_det);
  }
  out.base_log_prob = terms.AddDensity(spec_.base, event, nullptr, context, class_label);
  out.latent.insert(out.latent.end(), event.values.begin(), event.values.end());
  Finish(terms, class_weight_, class_label, out);
  return out;
}

std::vector<double> ReferenceFlow::Invert(const std::vector<double>& context,
                                          const LatentSource& latent_of) const {
  ReferenceEvent event = EventOf(shapes_.back());
  int64_t offset = spec_.event.size() - static_cast<int64_t>(event.values.size());
  event.values = latent_of(spec_.base, event, offset, nullptr);
  for (size_t i = layers_.size(); i-- > 0;) {
    const auto* split = std::get_if<Split>(&layers_[i].layer.op);
    if (split == nullptr) {
      event = InverseLayer(layers_[i], event, context);
      continue;
    }
    ReferenceEvent emitted = ZeroEvent(shapes_[i].channels - event.channels, event.height, event.width);
    offset -= static_cast<int64_t>(emitted.values.size());
    emitted.values = latent_of(split->prior, emitted, offset, &event);
    event = JoinHalves(*split, emitted, event);
  }
  if (offset != 0) std::abort();
  return event.values;
}

std::vector<double> ReferenceFlow::Decode(const std::vector<double>& z,
                                          const std::vector<double>& context) const {
  return Invert(context,
                [&](const Base&, const ReferenceEvent& shape, int64_t offset, const ReferenceEvent*) {
                  return std::vector<double>(z.begin() + offset, z.begin() + offset + shape.values.size());
                });
}

int ReferenceFlow::DrawClass(uint64_t seed, uint64_t index) const {
  const double u = ReferenceClassUniform(seed, index);
  double cumulative = 0;
  for (size_t k = 0; k < class_weight_.size(); ++k) {
    cumulative += std::exp(class_weight_[k]);
    if (u <= cumulative) return static_cast<int>(k);
  }
  return static_cast<int>(class_weight_.size()) - 1;
}

ReferenceSample ReferenceFlow::Sample(uint64_t seed, uint64_t index, double temperature,
                                      const std::vector<double>& context, int class_label) const {
  ReferenceSample sample;
  sample.class_drawn = class_label >= 0 ? class_label : DrawClass(seed, index);  // -1 without classes
  sample.latent.assign(spec_.event.size(), 0);
  sample.x = Invert(context, [&](const Base& base, const ReferenceEvent& shape, int64_t offset,
                                 const ReferenceEvent* kept) {
    const NormalParameters normal = ParametersOf(base, shape, {sample.class_drawn, kept, context});
    std::vector<double> z(shape.values.size());
    for (size_t i = 0; i < z.size(); ++i) {
      const double noise = temperature * ReferenceNormal(seed, index, offset + i);
      z[i] = normal.mean[i] + std::exp(normal.log_scale[i]) * noise;
      sample.latent[offset + i] = z[i];
    }
    return z;
  });
  return sample;
}

double ReferenceFlow::TailProbability(double log_prob) const {
  const std::vector<double>& at = spec_.calibration->log_likelihood;
  const std::vector<double>& probability = spec_.calibration->probability;
  if (log_prob <= at.front()) return probability.front();
  if (log_prob >= at.back()) return probability.back();
  size_t i = 1;
  while (at[i] < log_prob) ++i;
  const double share = (log_prob - at[i - 1]) / (at[i] - at[i - 1]);
  return probability[i - 1] + share * (probability[i] - probability[i - 1]);
}

}  // namespace glowworm
