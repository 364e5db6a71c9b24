#include "server/reservation.h"

#include <utility>

#include "server/batch_queue.h"
#include "server/compute_pool.h"

namespace glowworm {

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    Release();
    request_ = std::exchange(other.request_, nullptr);
  }
  return *this;
}

void Reservation::Release() {
  Request* request = std::exchange(request_, nullptr);
  if (request != nullptr) request->queue->compute_pool->Release(request);
}

}  // namespace glowworm
