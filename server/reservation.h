// Reservation: one request's share of the memory budgets, given back by the holder's destructor.
// Made by the batcher (batcher.h) and handed to Task::done. Tested by tests/server/batcher_admission_test.cc.

#ifndef GLOWWORM_SERVER_RESERVATION_H_
#define GLOWWORM_SERVER_RESERVATION_H_

namespace glowworm {

struct Request;

// The bytes were taken from the batcher's budget and the process's at admission (or parking). They return
// once this object is destroyed *and* no running batch holds the request's payload any more, so the service
// keeps it until the reply has been sent. Movable; an empty one holds nothing. Not thread-safe; any one
// thread may destroy it.
//
// Destroying one takes the pool's lock and may let parked tasks in; it runs no callback.
// REQUIRES: the ComputePool is alive. (The Batcher need not be.)
class Reservation {
 public:
  Reservation() = default;
  explicit Reservation(Request* request) : request_(request) {}  // by the batcher only
  Reservation(Reservation&& other) noexcept : request_(other.request_) { other.request_ = nullptr; }
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { Release(); }

  // Gives the bytes back now; empty afterwards.
  void Release();

 private:
  Request* request_ = nullptr;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_RESERVATION_H_
