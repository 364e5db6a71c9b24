// Device metrics: memory, utilization and the seconds of each CUDA device. Tested by
// tests/server/device_test.cc.

#ifndef GLOWWORM_SERVER_DEVICE_METRICS_H_
#define GLOWWORM_SERVER_DEVICE_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "model/devices.h"

namespace glowworm {

// Appends a series of each family for each device, labelled as --device spells it: device="cuda:0". No
// utilization where it is not known; no family without a series.
void AppendDeviceMetrics(const std::vector<DeviceUse>& devices, std::vector<prometheus::MetricFamily>* out);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_DEVICE_METRICS_H_
