// Implements model/cuda/likelihood.h. Twin: LogLikelihood of model/cpu/cpu_executor.cc.

#include "model/cuda/likelihood.h"

#include <cmath>
#include <limits>

#include "model/cuda/launch.h"

namespace glowworm::cuda {
namespace {

// One row a thread.
struct FinishRowDensity {
  double constant;
  const double* log_density;        // (rows)
  const double* class_log_density;  // (rows, K)
  const double* log_class_weight;   // (K)
  const int* class_label;           // (rows)
  int64_t num_classes;
  double* log_likelihood;  // (rows)

  GLOWWORM_BODY void operator()(int64_t row) const {
    const double sum = constant + log_density[row];
    log_likelihood[row] = num_classes == 0 ? sum : AddClasses(row, sum);
  }

  GLOWWORM_BODY double AddClasses(int64_t row, double sum) const {
    const double* per_class = class_log_density + row * num_classes;
    if (class_label[row] >= 0) return sum + per_class[class_label[row]];
    double most = -std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < num_classes; ++k) {
      const double term = log_class_weight[k] + per_class[k];
      if (most < term) most = term;
    }
    if (!std::isfinite(most)) return most;
    double total = 0;
    for (int64_t k = 0; k < num_classes; ++k) total += std::exp(log_class_weight[k] + per_class[k] - most);
    return sum + most + std::log(total);
  }
};

}  // namespace

void FinishLogLikelihood(const TileState& state, double constant, const double* log_class_weight,
                         double* log_likelihood) {
  Launch(state.queue, state.rows,
         FinishRowDensity{constant, state.log_density, state.class_log_density, log_class_weight,
                          state.class_label, state.num_classes, log_likelihood});
}

}  // namespace glowworm::cuda
