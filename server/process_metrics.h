// Process metrics under the names that every Prometheus dashboard knows: memory, processor time, file
// descriptors. Tested by tests/server/metrics_test.cc.

#ifndef GLOWWORM_SERVER_PROCESS_METRICS_H_
#define GLOWWORM_SERVER_PROCESS_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

namespace glowworm {

// Appends this moment's values; those that /proc does not give are left out. Thread-safe.
void AppendProcessMetrics(std::vector<prometheus::MetricFamily>* out);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_PROCESS_METRICS_H_
