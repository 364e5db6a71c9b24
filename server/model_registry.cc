// Look-ups, then changes, then departures.

#include "server/model_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

constexpr size_t kNamesInMessage = 8;

// The version that is meant where none is named: the newest that is ready, else that loads, else that failed.
int Rank(const ModelEntry& entry) {
  switch (entry.state) {
    case ModelState::kReady:
      return 3;
    case ModelState::kLoading:
      return 2;
    case ModelState::kFailed:
      return 1;
    case ModelState::kUnloading:
    case ModelState::kUnloaded:
      break;
  }
  return 0;
}

const ModelEntry* FindEntry(const std::map<int64_t, ModelEntry>& versions, int64_t version) {
  if (version != 0) {
    const auto it = versions.find(version);
    return it == versions.end() ? nullptr : &it->second;
  }
  const ModelEntry* newest = nullptr;
  for (const auto& [number, entry] : versions) {
    if (newest == nullptr || Rank(entry) >= Rank(*newest)) newest = &entry;
  }
  return newest;
}

}  // namespace

absl::StatusOr<ModelEntry> ModelRegistry::Describe(absl::string_view name, int64_t version) const {
  MutexLock lock(&mutex_);
  if (models_.empty()) return absl::NotFoundError("no model is served here: the repository holds none");
  if (name.empty() && models_.size() > 1) {
    std::vector<std::string> names;
    for (const auto& [known, versions] : models_) {
      if (names.size() == kNamesInMessage) break;
      names.push_back(known);
    }
    return absl::InvalidArgumentError(
        absl::StrCat("model.name: empty, but ", models_.size(),
                     " models are served; name one: ", absl::StrJoin(names, ", ")));
  }
  const auto it = name.empty() ? models_.begin() : models_.find(name);
  if (it == models_.end()) {
    return absl::NotFoundError(absl::StrCat("model '", Sanitized(name, kMaxNameBytes),
                                            "' is not served here; ListModels names those that are"));
  }
  const ModelEntry* entry = FindEntry(it->second, version);
  if (entry == nullptr) {
    return absl::NotFoundError(absl::StrCat("model '", it->first, "' has no version ", version,
                                            "; the newest is ", it->second.rbegin()->first));
  }
  return *entry;
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRegistry::Find(absl::string_view name,
                                                                       int64_t version) const {
  absl::StatusOr<ModelEntry> entry = Describe(name, version);
  if (!entry.ok()) return entry.status();
  return Served(*entry);
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRegistry::Served(const ModelEntry& entry) {
  if (entry.state == ModelState::kReady) return entry.served;
  const std::string which = absl::StrCat("model '", entry.name, "' version ", entry.version);
  if (entry.state == ModelState::kLoading)
    return absl::UnavailableError(absl::StrCat(which, " is still loading"));
  if (entry.state == ModelState::kFailed)
    return absl::FailedPreconditionError(absl::StrCat(which, " failed to load: ", entry.error.message()));
  return absl::NotFoundError(absl::StrCat(which, " is being unloaded"));
}

std::vector<ModelEntry> ModelRegistry::List() const {
  std::vector<ModelEntry> out;
  MutexLock lock(&mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, entry] : versions) out.push_back(entry);
  }
  return out;
}

std::map<int64_t, ModelEntry> ModelRegistry::Versions(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto it = models_.find(name);
  return it == models_.end() ? VersionMap() : it->second;
}

bool ModelRegistry::Serves(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto it = models_.find(name);
  return it != models_.end() && std::any_of(it->second.begin(), it->second.end(), [](const auto& item) {
           return item.second.state == ModelState::kReady;
         });
}

std::vector<std::shared_ptr<const ServedModel>> ModelRegistry::InUse() const {
  std::vector<std::shared_ptr<const ServedModel>> out;
  MutexLock lock(&mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, entry] : versions) {
      if (entry.served != nullptr) out.push_back(entry.served);
    }
  }
  for (const Departing& departing : departing_) out.push_back(departing.served);
  return out;
}

ModelEntry* ModelRegistry::EntryFor(const std::string& name, int64_t version) {
  ModelEntry& entry = models_[name][version];
  entry.name = name;
  entry.version = version;
  return &entry;
}

void ModelRegistry::Erase(const std::string& name, int64_t version) {
  const auto it = models_.find(name);
  it->second.erase(version);
  if (it->second.empty()) models_.erase(it);
}

ModelEntry ModelRegistry::SetLoading(const std::string& name, int64_t version) {
  MutexLock lock(&mutex_);
  ModelEntry* entry = EntryFor(name, version);
  if (entry->state != ModelState::kReady) {
    entry->state = ModelState::kLoading;
    entry->error = absl::OkStatus();
  }
  return *entry;
}

ModelEntry ModelRegistry::SetReady(const std::string& name, int64_t version,
                                   std::shared_ptr<const ServedModel> served) {
  MutexLock lock(&mutex_);
  ModelEntry* entry = EntryFor(name, version);
  Depart(entry);
  entry->state = ModelState::kReady;
  entry->error = absl::OkStatus();
  entry->served = std::move(served);
  return *entry;
}

ModelEntry ModelRegistry::SetFailed(const std::string& name, int64_t version, absl::Status error) {
  MutexLock lock(&mutex_);
  ModelEntry* entry = EntryFor(name, version);
  if (entry->state != ModelState::kReady) entry->state = ModelState::kFailed;
  entry->error = std::move(error);
  return *entry;
}

ModelEntry ModelRegistry::Unload(const std::string& name, int64_t version) {
  MutexLock lock(&mutex_);
  ModelEntry* entry = EntryFor(name, version);
  entry->error = absl::OkStatus();
  Depart(entry);
  entry->state = Departs(*entry) ? ModelState::kUnloading : ModelState::kUnloaded;
  ModelEntry out = *entry;
  if (out.state == ModelState::kUnloaded) Erase(name, version);
  return out;
}

void ModelRegistry::Depart(ModelEntry* entry) {
  if (entry->served == nullptr) return;
  departing_.push_back({entry->name, entry->version, std::move(entry->served)});
  entry->served = nullptr;
}

bool ModelRegistry::Departs(const ModelEntry& entry) const {
  return std::any_of(departing_.begin(), departing_.end(), [&](const Departing& departing) {
    return departing.name == entry.name && departing.version == entry.version;
  });
}

bool ModelRegistry::departing() const {
  MutexLock lock(&mutex_);
  return !departing_.empty();
}

std::vector<ModelEntry> ModelRegistry::Collect(absl::Time now) {
  std::vector<ModelEntry> gone;
  std::vector<std::shared_ptr<const ServedModel>> unused, impatient;
  {
    MutexLock lock(&mutex_);
    for (Departing& departing : departing_) {
      if (departing.drain_at == absl::InfiniteFuture()) departing.drain_at = now + patience_;
      // Nobody can find it any more, so that once this is the only pointer it stays so.
      if (departing.served.use_count() == 1) {
        unused.push_back(std::move(departing.served));
      } else if (now >= departing.drain_at && !departing.draining) {
        departing.draining = true;
        impatient.push_back(departing.served);
      }
    }
    departing_.erase(std::remove_if(departing_.begin(), departing_.end(),
                                    [](const Departing& departing) { return departing.served == nullptr; }),
                     departing_.end());
    for (const auto& served : unused) {
      const auto model = models_.find(served->name());
      if (model == models_.end()) continue;
      const auto entry = model->second.find(served->version());
      if (entry == model->second.end() || entry->second.state != ModelState::kUnloading) continue;
      if (Departs(entry->second)) continue;
      gone.push_back(entry->second);
      gone.back().state = ModelState::kUnloaded;
      Erase(served->name(), served->version());
    }
  }
  for (const auto& served : impatient) served->Drain();
  return gone;  // and what is unused is freed
}

}  // namespace glowworm
