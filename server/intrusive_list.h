// IntrusiveList: a doubly linked list through a member of its elements, so that removal from the middle is
// O(1) and nothing is allocated. Tested by tests/server/batcher_parts_test.cc.

#ifndef GLOWWORM_SERVER_INTRUSIVE_LIST_H_
#define GLOWWORM_SERVER_INTRUSIVE_LIST_H_

#include <cstdint>

namespace glowworm {

template <typename T>
struct ListHook {
  T* previous = nullptr;
  T* next = nullptr;
};

// Does not own its elements. Not thread-safe. An element is in at most one list per hook, and must be removed
// before it dies.
template <typename T, ListHook<T> T::*kHook>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return front_ == nullptr; }
  int64_t size() const { return size_; }
  T* front() const { return front_; }  // null when empty

  // REQUIRES: *element is not in this list.
  void PushBack(T* element) {
    (element->*kHook).previous = back_;
    (element->*kHook).next = nullptr;
    (back_ == nullptr ? front_ : (back_->*kHook).next) = element;
    back_ = element;
    ++size_;
  }

  // REQUIRES: *element is in this list.
  void Remove(T* element) {
    ListHook<T>& hook = element->*kHook;
    (hook.previous == nullptr ? front_ : (hook.previous->*kHook).next) = hook.next;
    (hook.next == nullptr ? back_ : (hook.next->*kHook).previous) = hook.previous;
    hook = ListHook<T>();
    --size_;
  }

  // REQUIRES: *element is in this list.
  void MoveToBack(T* element) {
    Remove(element);
    PushBack(element);
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_INTRUSIVE_LIST_H_
