// See column_flow.h.

#include "tests/model/column_flow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "tests/testing/test_device.h"

namespace glowworm {

Net ConstantNet(const std::vector<double>& bias) {
  const auto out = static_cast<int64_t>(bias.size());
  Net net;
  net.ops.push_back({Dense{out, 1, std::vector<double>(out, 0), bias}});
  return net;
}

int64_t ColumnsOf(Place place) { return place == Place::kAutoregressive ? 1 : 2; }

Layer LayerWith(const SplineCase& c, Place place) {
  if (place == Place::kAutoregressive) {
    return {"spline", Autoregressive{{0}, ConstantNet(c.raw), ParallelDirection::kForward, c.spline}};
  }
  Coupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  coupling.net = ConstantNet(c.raw);
  coupling.transform = c.spline;
  if (place == Place::kIdentitySpline) {
    const auto at = c.raw.begin(), heights = at + c.spline.bins, derivatives = heights + c.spline.bins;
    coupling.identity_spline =
        IdentitySpline{{at, heights}, {heights, derivatives}, {derivatives, c.raw.end()}, c.spline};
    std::swap(coupling.identity, coupling.transformed);
    coupling.net = ConstantNet({0});
    coupling.transform = AdditiveTransform{};
  }
  return {"spline", coupling};
}

ColumnFlow::ColumnFlow(std::vector<Layer> layers, int64_t columns, Precision precision) : columns_(columns) {
  FlowSpec spec;
  spec.name = "column";
  spec.event.channels = columns;
  spec.layers = std::move(layers);
  spec.base = StandardNormal{};
  auto flow = Flow::Create(spec, OnTestDevice(precision));
  EXPECT_TRUE(flow.ok()) << flow.status();
  flow_ = *std::move(flow);
}

std::vector<double> ColumnFlow::Column(const FlowAnswer& answer) const {
  std::vector<double> column;
  for (size_t at = columns_ - 1; at < answer.numbers.size(); at += columns_)
    column.push_back(answer.numbers[at]);
  return column;
}

std::vector<ReferencePoint> ColumnFlow::Forward(const std::vector<double>& x) const {
  const FlowAnswer answer = Encode(x);
  const std::vector<double> y = Column(answer);
  std::vector<ReferencePoint> points;
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(answer.status[i], RowStatus::kOk) << "x " << x[i];
    const double log_base = -0.5 * (y[i] * y[i] + static_cast<double>(columns_) * std::log(2 * M_PI));
    points.push_back({y[i], answer.log_likelihood[i] - log_base});
  }
  return points;
}

std::vector<double> ColumnFlow::Inverse(const std::vector<double>& y) const {
  const FlowAnswer answer = DecodeRows(*flow_, RowsOf(y));
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(answer.status[i], RowStatus::kOk) << "y " << y[i];
  return Column(answer);
}

FlowRows ColumnFlow::RowsOf(const std::vector<double>& values) const {
  FlowRows rows;
  rows.rows = static_cast<int64_t>(values.size());
  rows.numbers.assign(rows.rows * columns_, 0);
  for (size_t i = 0; i < values.size(); ++i) rows.numbers[(i + 1) * columns_ - 1] = values[i];
  rows.class_label.assign(rows.rows, -1);
  return rows;
}

}  // namespace glowworm
