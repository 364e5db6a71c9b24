// Reads bases and priors. Entry: ReadBase(). Tested by tests/model/flow_file_base_test.cc.

#include "model/flow_file_parts.h"

namespace glowworm {
namespace {

bool ReadDiagNormal(Fields* fields, const EventShape& event, DiagNormal* normal) {
  std::vector<std::vector<int64_t>> shapes = {{event.channels}};
  if (event.image) shapes.push_back({event.channels, event.height, event.width});
  std::vector<int64_t> shape;
  if (!fields->Floats("mean", shapes, &normal->mean, &shape)) return false;
  normal->per_element = shape.size() == 3;
  return fields->Floats("log_scale", {shape}, &normal->log_scale) && fields->Done();
}

bool ReadClassNormal(Fields* fields, const EventShape& event, ClassNormal* normal) {
  std::vector<int64_t> shape;
  if (!fields->Floats("log_weight", {{kAny}}, &normal->log_weight, &shape)) return false;
  normal->num_classes = shape[0];
  const std::vector<int64_t> table = {normal->num_classes, event.size()};
  return fields->Floats("mean", {table}, &normal->mean) &&
         fields->Floats("log_scale", {table}, &normal->log_scale) && fields->Done();
}

}  // namespace

bool ReadBase(FlowSource* source, const Json* json, const Place& place, const EventShape& event,
              const NetInput* kept, Base* base) {
  Fields choice(source, json, place);
  const std::string kind = choice.OneOf({"standard_normal", "diag_normal", "class_normal", "net_normal"});
  if (kind.empty()) return false;
  const Json* body = choice.Need(kind);
  if (!choice.Done()) return false;
  Fields fields(source, body, place.Field(kind));
  if (kind == "standard_normal") {
    base->emplace<StandardNormal>();
    return fields.Done();
  }
  if (kind == "diag_normal") return ReadDiagNormal(&fields, event, &base->emplace<DiagNormal>());
  if (kind == "class_normal") return ReadClassNormal(&fields, event, &base->emplace<ClassNormal>());
  if (kept == nullptr) return fields.Fail("net_normal is for the prior of a split only");
  const Json* net = fields.Need("net");
  return fields.Done() && ReadNet(source, net, fields.place().Field("net"), *kept, 2 * event.channels,
                                  &base->emplace<NetNormal>().net);
}

}  // namespace glowworm
