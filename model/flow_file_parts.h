// The parts of the flow-file reader, from net to layer; flow_file.cc puts them together. Each returns false
// after a failure, whose reason FlowSource keeps. Tested through tests/model/flow_file_test.cc.

#ifndef GLOWWORM_MODEL_FLOW_FILE_PARTS_H_
#define GLOWWORM_MODEL_FLOW_FILE_PARTS_H_

#include <cstdint>

#include "model/flow_file_fields.h"
#include "model/flow_spec.h"

namespace glowworm {

inline constexpr int64_t kMaxChannels = 8192;               // C, anywhere in the flow; also of the context
inline constexpr int64_t kMaxEventSize = int64_t{1} << 24;  // D
inline constexpr int64_t kMaxNetWidth = 4 * kMaxChannels;   // features inside a net that gives no more
inline constexpr int64_t kMaxKernel = 31;                   // k of a convolution
inline constexpr size_t kMaxNetOps = 1024;                  // of one net, or of one residual's body
inline constexpr int kMaxResidualDepth = 8;                 // residual in residual
inline constexpr double kMaxLogAbsS = 60;
inline constexpr int64_t kMaxSplineBins = 1024;  // K
inline constexpr double kMaxTailBound = 1e30;    // beyond it numbers overflow float32

// What a net reads: features of `width` channels, of an image or of rows.
struct NetInput {
  int64_t width = 0;
  bool image = false;
  int64_t context_size = 0;
};

// Reads the net at `json`, which must turn `input` into `out` channels. Nets over rows are made of dense
// layers, nets over images of convolutions.
bool ReadNet(FlowSource* source, const Json* json, const Place& place, const NetInput& input, int64_t out,
             Net* net);

// Reads the base of an event, or the prior of the half that a split emits: then `kept` is what a net_normal's
// net reads; null where net_normal is not allowed.
bool ReadBase(FlowSource* source, const Json* json, const Place& place, const EventShape& event,
              const NetInput* kept, Base* base);

bool ReadLinear(FlowSource* source, const Json* json, const Place& place, int64_t channels, Linear* linear);

// Read the map of one number whose parameters a net gives.
bool ReadAffineTransform(FlowSource* source, const Json* json, const Place& place, AffineTransform* affine);
bool ReadSplineTransform(FlowSource* source, const Json* json, const Place& place, SplineTransform* spline);

// `in`: the shape that the layer works on.
bool ReadCoupling(FlowSource* source, const Json* json, const Place& place, const EventShape& in,
                  int64_t context_size, Coupling* coupling);
bool ReadAutoregressive(FlowSource* source, const Json* json, const Place& place, const EventShape& in,
                        int64_t context_size, Autoregressive* autoregressive);

// Reads one layer whose input has the shape `in`. `index` names it in errors until its name is known.
bool ReadLayer(FlowSource* source, const Json& json, size_t index, const EventShape& in, int64_t context_size,
               Layer* layer);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_FILE_PARTS_H_
