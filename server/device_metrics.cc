// What the devices said of themselves, as Prometheus has it.

#include "server/device_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void Add(const DeviceUse& device, double value, MetricFamily* family) {
  prometheus::ClientMetric metric;
  metric.label = {{"device", absl::StrCat("cuda:", device.ordinal)}};
  (family->type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family->metric.push_back(std::move(metric));
}

}  // namespace

void AppendDeviceMetrics(const std::vector<DeviceUse>& devices, std::vector<MetricFamily>* out) {
  MetricFamily used{
      "glowworm_device_memory_used_bytes", "Device memory that is taken, by whomever", MetricType::Gauge, {}};
  MetricFamily total{"glowworm_device_memory_total_bytes", "Device memory", MetricType::Gauge, {}};
  MetricFamily busy{"glowworm_device_utilization_ratio",
                    "Share of the driver's last sample period in which the device computed, for whomever",
                    MetricType::Gauge,
                    {}};
  MetricFamily transfer{"glowworm_device_transfer_seconds_total",
                        "Time of this server's copies to and from the device",
                        MetricType::Counter,
                        {}};
  MetricFamily compute{"glowworm_device_compute_seconds_total",
                       "Time that the device computed for this server",
                       MetricType::Counter,
                       {}};
  for (const DeviceUse& device : devices) {
    Add(device, static_cast<double>(device.memory_used_bytes), &used);
    Add(device, static_cast<double>(device.memory_total_bytes), &total);
    if (device.utilization >= 0) Add(device, device.utilization, &busy);
    Add(device, device.transfer_seconds, &transfer);
    Add(device, device.compute_seconds, &compute);
  }
  for (MetricFamily* family : {&used, &total, &busy, &transfer, &compute}) {
    if (!family->metric.empty()) out->push_back(std::move(*family));
  }
}

}  // namespace glowworm
