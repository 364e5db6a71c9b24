// What can be said of a flow without computing with it. Entries: DescribeFlow(), ByteSize() and
// PrecisionName() of model/flow.h. Tested by tests/model/flow_test.cc.

#include "model/flow.h"
#include "model/flow_spec.h"

namespace glowworm {

int64_t ByteSize(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return 4;
    case DataType::kFloat64:
      return 8;
    case DataType::kUint8:
      return 1;
  }
  return 0;
}

absl::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "float32";
    case Precision::kFloat64:
      return "float64";
    case Precision::kBfloat16:
      return "bfloat16";
  }
  return "";
}

FlowInfo DescribeFlow(const FlowSpec& spec) {
  FlowInfo info;
  info.name = spec.name;
  info.description = spec.description;
  if (spec.event.image) {
    info.event_shape = {spec.event.channels, spec.event.height, spec.event.width};
  } else {
    info.event_shape = {spec.event.channels};
  }
  info.event_size = info.latent_size = spec.event.size();
  info.context_size = spec.context_size;
  info.num_classes = NumClasses(spec);
  info.provenance = spec.provenance;
  info.has_calibration = spec.calibration.has_value();
  return info;
}

}  // namespace glowworm
