// DeadlineHeap: the earliest deadline first, with removal from the middle in O(log n).
// Tested by tests/server/batcher_parts_test.cc.

#ifndef GLOWWORM_SERVER_DEADLINE_HEAP_H_
#define GLOWWORM_SERVER_DEADLINE_HEAP_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace glowworm {

// A binary heap of T* by T::deadline. Each element remembers its place in the member kSlot, which is -1
// outside the heap. Elements without a deadline (InfiniteFuture) never enter. Does not own its elements. Not
// thread-safe.
template <typename T, int64_t T::*kSlot>
class DeadlineHeap {
 public:
  bool empty() const { return heap_.empty(); }
  T* top() const { return heap_.empty() ? nullptr : heap_[0]; }
  absl::Time earliest() const { return heap_.empty() ? absl::InfiniteFuture() : heap_[0]->deadline; }

  // REQUIRES: *element is outside.
  void Push(T* element) {
    if (element->deadline == absl::InfiniteFuture()) return;
    heap_.push_back(element);
    SiftUp(size() - 1, element);
  }

  // No effect if *element is outside.
  void Remove(T* element) {
    const int64_t hole = element->*kSlot;
    if (hole < 0) return;
    element->*kSlot = -1;
    T* last = heap_.back();
    heap_.pop_back();
    if (last == element) return;
    SiftUp(hole, last);
    SiftDown(last->*kSlot, last);
  }

 private:
  int64_t size() const { return static_cast<int64_t>(heap_.size()); }

  void Place(int64_t at, T* element) {
    heap_[at] = element;
    element->*kSlot = at;
  }

  void SiftUp(int64_t at, T* element) {
    while (at > 0) {
      const int64_t parent = (at - 1) / 2;
      if (heap_[parent]->deadline <= element->deadline) break;
      Place(at, heap_[parent]);
      at = parent;
    }
    Place(at, element);
  }

  void SiftDown(int64_t at, T* element) {
    for (;;) {
      int64_t child = 2 * at + 1;
      if (child >= size()) break;
      if (child + 1 < size() && heap_[child + 1]->deadline < heap_[child]->deadline) ++child;
      if (element->deadline <= heap_[child]->deadline) break;
      Place(at, heap_[child]);
      at = child;
    }
    Place(at, element);
  }

  std::vector<T*> heap_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_DEADLINE_HEAP_H_
