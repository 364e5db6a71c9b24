#include "server/fair_share.h"

namespace glowworm {

FairShare::Source* FairShare::Ask(const std::string& name, absl::Time now) {
  auto [found, is_new] = sources_.try_emplace(name);
  Source* source = &found->second;
  source->last_asked = now;
  if (is_new) {
    source->name = &found->first;
    by_last_asked_.PushBack(source);
  } else {
    by_last_asked_.MoveToBack(source);
  }
  // Forget the stale, oldest first. One that holds something stops the search: it goes soon, and the next
  // Ask goes on. At the bound on memory it is stepped over instead.
  for (Source* oldest = by_last_asked_.front(); oldest != source; oldest = by_last_asked_.front()) {
    const bool crowded = by_last_asked_.size() > kMaxIdleSources;
    if (!crowded && (!oldest->idle() || now - oldest->last_asked < kMemory)) break;
    by_last_asked_.Remove(oldest);
    if (!oldest->idle()) {
      by_last_asked_.PushBack(oldest);
      break;
    }
    sources_.erase(sources_.find(*oldest->name));
  }
  return source;
}

}  // namespace glowworm
