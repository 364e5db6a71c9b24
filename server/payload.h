// Payloads: one request's rows, inputs and outputs, as the batcher carries them. server/convert.cc makes them
// from requests and turns them into replies; server/served_model.cc hands their rows to the flow, a part at a
// time, from several threads at once. Rows share nothing, so no lock is needed. Tested by
// tests/server/convert_test.cc.

#ifndef GLOWWORM_SERVER_PAYLOAD_H_
#define GLOWWORM_SERVER_PAYLOAD_H_

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/flow.h"

namespace glowworm {

// A tensor that came in: one row for each of the request, or one for all.
struct InputRows {
  std::string bytes;  // (rows or 1, row_bytes), as the client sent them; empty: absent
  DataType dtype = DataType::kFloat64;
  int64_t row_bytes = 0;
  bool one_for_all = false;

  RowInput Row(int64_t row) const {
    if (bytes.empty()) return RowInput{};
    return RowInput{bytes.data() + (one_for_all ? 0 : row * row_bytes), dtype};
  }
};

// A tensor that goes out; empty: not wanted.
struct OutputRows {
  std::string bytes;  // (rows, row_bytes)
  DataType dtype = DataType::kFloat64;
  int64_t row_bytes = 0;

  RowOutput Row(int64_t row) {
    if (bytes.empty()) return RowOutput{};
    return RowOutput{bytes.data() + row * row_bytes, dtype};
  }
};

struct EncodePayload {
  int64_t rows = 0;
  InputRows x, context;
  google::protobuf::RepeatedField<int32_t> class_label;  // none, one for all, or one per row
  OutputRows z;
  google::protobuf::RepeatedField<double> log_likelihood;    // (rows)
  google::protobuf::RepeatedField<double> tail_probability;  // (rows), or empty: not wanted
  std::vector<RowStatus> status;                             // (rows)

  EncodeRow Row(int64_t row) {
    EncodeRow out;
    out.x = x.Row(row);
    out.context = context.Row(row);
    if (!class_label.empty())
      out.class_label = class_label[class_label.size() == 1 ? 0 : static_cast<int>(row)];
    out.z = z.Row(row);
    out.log_likelihood = log_likelihood.mutable_data() + row;
    if (!tail_probability.empty()) out.tail_probability = tail_probability.mutable_data() + row;
    out.status = &status[row];
    return out;
  }
};

struct DecodePayload {
  int64_t rows = 0;
  InputRows z, context;
  OutputRows x;
  std::vector<RowStatus> status;  // (rows)

  DecodeRow Row(int64_t row) {
    DecodeRow out;
    out.z = z.Row(row);
    out.context = context.Row(row);
    out.x = x.Row(row);
    out.status = &status[row];
    return out;
  }
};

struct SamplePayload {
  int64_t rows = 0;
  uint64_t seed = 0, first_index = 0;
  double temperature = 1;
  InputRows context;
  int class_label = -1;
  OutputRows x;
  google::protobuf::RepeatedField<double> log_likelihood;  // (rows), or empty: not wanted
  google::protobuf::RepeatedField<int32_t> class_drawn;    // (rows), or empty: the flow has no classes
  std::vector<RowStatus> status;                           // (rows)

  SampleRow Row(int64_t row) {
    SampleRow out;
    out.seed = seed;
    out.index = first_index + static_cast<uint64_t>(row);
    out.temperature = temperature;
    out.context = context.Row(row);
    out.class_label = class_label;
    out.x = x.Row(row);
    if (!log_likelihood.empty()) out.log_likelihood = log_likelihood.mutable_data() + row;
    if (!class_drawn.empty()) out.class_drawn = class_drawn.mutable_data() + row;
    out.status = &status[row];
    return out;
  }
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_PAYLOAD_H_
