// Implements model/cuda/device_seconds.h.

#include "model/cuda/device_seconds.h"

#include <map>
#include <mutex>

namespace glowworm::cuda {
namespace {

struct Totals {
  std::mutex mutex;
  std::map<int, DeviceSeconds> by_ordinal;  // guarded by mutex
};

Totals& TheTotals() {
  static auto* const totals = new Totals;  // never freed: threads may still compute when the process ends
  return *totals;
}

}  // namespace

void AddSeconds(int ordinal, const DeviceSeconds& seconds) {
  Totals& totals = TheTotals();
  const std::lock_guard<std::mutex> lock(totals.mutex);
  DeviceSeconds& sum = totals.by_ordinal[ordinal];
  sum.transfer += seconds.transfer;
  sum.compute += seconds.compute;
}

DeviceSeconds SecondsOf(int ordinal) {
  Totals& totals = TheTotals();
  const std::lock_guard<std::mutex> lock(totals.mutex);
  return totals.by_ordinal[ordinal];
}

}  // namespace glowworm::cuda
