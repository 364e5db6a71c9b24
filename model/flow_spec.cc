// The two derived facts of a FlowSpec that every reader of one needs. Tested by tests/model/plan_test.cc.

#include "model/flow_spec.h"

namespace glowworm {

EventShape ShapeAfter(const Layer& layer, const EventShape& in) {
  EventShape out = in;
  if (std::holds_alternative<Squeeze>(layer.op)) {
    out.channels = 4 * in.channels;
    out.height = in.height / 2;
    out.width = in.width / 2;
  } else if (const auto* split = std::get_if<Split>(&layer.op)) {
    const int64_t first = (in.channels + 1) / 2;
    out.channels = split->emit == Half::kFirst ? in.channels - first : first;
  }
  return out;
}

int64_t NumClasses(const FlowSpec& spec) {
  if (const auto* base = std::get_if<ClassNormal>(&spec.base)) return base->num_classes;
  for (const Layer& layer : spec.layers) {
    const auto* split = std::get_if<Split>(&layer.op);
    if (split == nullptr) continue;
    if (const auto* prior = std::get_if<ClassNormal>(&split->prior)) return prior->num_classes;
  }
  return 0;
}

}  // namespace glowworm
