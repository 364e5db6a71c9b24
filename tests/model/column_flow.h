// Flows of one column that counts, as functions of a number: to try a spline at chosen numbers wherever a
// flow may hold one. Used by spline_test.cc.

#ifndef GLOWWORM_TESTS_MODEL_COLUMN_FLOW_H_
#define GLOWWORM_TESTS_MODEL_COLUMN_FLOW_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "model/flow.h"
#include "model/flow_spec.h"
#include "tests/model/spline_cases.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/reference_spline.h"

namespace glowworm {

// A net over one feature that gives `bias` whatever it reads.
Net ConstantNet(const std::vector<double>& bias);

enum class Place { kCoupling, kIdentitySpline, kAutoregressive };
// Of a layer that holds the spline there: a coupling needs a channel beside the spline's.
int64_t ColumnsOf(Place place);
// The spline on the last channel, with the same parameters for every row.
Layer LayerWith(const SplineCase& c, Place place);

// Rows are 0 but for the last column. Every call expects every row to be kOk.
class ColumnFlow {
 public:
  ColumnFlow(std::vector<Layer> layers, int64_t columns, Precision precision);

  FlowAnswer Encode(const std::vector<double>& x) const { return EncodeRows(*flow_, RowsOf(x)); }
  // The last number of every row.
  std::vector<double> Column(const FlowAnswer& answer) const;
  // Value and log-derivative of each number.
  std::vector<ReferencePoint> Forward(const std::vector<double>& x) const;
  std::vector<double> Inverse(const std::vector<double>& y) const;

 private:
  FlowRows RowsOf(const std::vector<double>& values) const;

  int64_t columns_;
  std::unique_ptr<const Flow> flow_;
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_COLUMN_FLOW_H_
