// FairShare: how many rows and bytes of one queue each source holds, and what each may hold.
// Tested by tests/server/batcher_parts_test.cc.

#ifndef GLOWWORM_SERVER_FAIR_SHARE_H_
#define GLOWWORM_SERVER_FAIR_SHARE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "server/intrusive_list.h"

namespace glowworm {

// A source is active while it holds rows or bytes, and for kMemory after it last asked: a light client stays
// counted between its requests, so that a flood cannot close the gap it needs. Not thread-safe.
class FairShare {
 public:
  static constexpr absl::Duration kMemory = absl::Seconds(10);
  // Sources remembered that hold nothing: bounds memory when every call comes from a new address.
  static constexpr int64_t kMaxIdleSources = 4096;

  struct Source {
    int64_t rows = 0;   // queued now; the queue adds and subtracts these two
    int64_t bytes = 0;  // until their replies are sent
    absl::Time last_asked;
    const std::string* name = nullptr;
    ListHook<Source> hook;

    bool idle() const { return rows == 0 && bytes == 0; }
  };

  // The source of this name, now active. The pointer holds as long as the source is not idle, and until the
  // next Ask. O(1) amortized.
  Source* Ask(const std::string& name, absl::Time now);

  // What each active source may hold of a queue's `limit` of rows or of bytes.
  int64_t Share(int64_t limit) const { return std::max<int64_t>(1, limit / active()); }
  int64_t active() const { return std::max<int64_t>(1, by_last_asked_.size()); }

 private:
  std::unordered_map<std::string, Source> sources_;  // nodes do not move
  IntrusiveList<Source, &Source::hook> by_last_asked_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_FAIR_SHARE_H_
