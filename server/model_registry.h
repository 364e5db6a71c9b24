// ModelRegistry: which model versions there are and how each stands; what a request's reference means.
//
// A version passes LOADING -> READY or FAILED, and READY -> UNLOADING until its last call has ended. A ready
// version stays so while another file is loaded in its place. Calls read; one thread, the loader's, changes
// it. Thread-safe. Tested by tests/server/model_registry_test.cc and repository_test.cc.

#ifndef GLOWWORM_SERVER_MODEL_REGISTRY_H_
#define GLOWWORM_SERVER_MODEL_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/mutex.h"
#include "server/served_model.h"

namespace glowworm {

// The values are those of glowworm.v1.ModelState. No entry of the registry is kUnloaded.
enum class ModelState { kUnloaded = 0, kLoading = 1, kReady = 2, kFailed = 3, kUnloading = 4 };

struct ModelEntry {
  std::string name;
  int64_t version = 0;
  ModelState state = ModelState::kUnloaded;
  // Why the last load failed. A ready version may have one: what was to take its place could not be loaded.
  absl::Status error;
  std::shared_ptr<const ServedModel> served;  // set while it is ready
};

class ModelRegistry {
 public:
  ModelRegistry() = default;
  ModelRegistry(const ModelRegistry&) = delete;
  ModelRegistry& operator=(const ModelRegistry&) = delete;

  // The ready model that a request means: version 0 is the newest that is ready, an empty name the only model
  // there is. NotFound if it is not in the repository or being unloaded, Unavailable while it loads,
  // FailedPrecondition with its error if it failed (trying again will not help), InvalidArgument if an empty
  // name could mean several.
  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(absl::string_view name, int64_t version) const;
  // Find's answer for an entry of Describe.
  static absl::StatusOr<std::shared_ptr<const ServedModel>> Served(const ModelEntry& entry);
  // The same, but a model in any state is an answer too.
  absl::StatusOr<ModelEntry> Describe(absl::string_view name, int64_t version) const;
  // Every model version, by name and version.
  std::vector<ModelEntry> List() const;
  // One model's; empty if there is none of that name.
  std::map<int64_t, ModelEntry> Versions(const std::string& name) const;
  // Whether a version of that model is ready.
  bool Serves(const std::string& name) const;
  // Whatever may have calls under way: what is ready, what is being unloaded, what was replaced.
  std::vector<std::shared_ptr<const ServedModel>> InUse() const;

  // Changes. REQUIRES: by one thread. Each returns the entry as it then is.

  // A ready version stays ready.
  ModelEntry SetLoading(const std::string& name, int64_t version);
  // From now on new calls get `served`. What was ready before under this number departs.
  ModelEntry SetReady(const std::string& name, int64_t version, std::shared_ptr<const ServedModel> served);
  // A ready version stays ready, and shows the error.
  ModelEntry SetFailed(const std::string& name, int64_t version, absl::Status error);
  // A ready version is unloading until its last call has ended; any other is gone at once.
  ModelEntry Unload(const std::string& name, int64_t version);

  // What departs keeps its calls and gets no new ones; streams may last for ever, so from `patience` after
  // its departure on its batchers take nothing more, and they end with UNAVAILABLE.
  void SetPatience(absl::Duration patience) { patience_ = patience; }
  bool departing() const;
  // Frees what has departed and has no call left, on this thread; returns the versions that are gone for that
  // reason. REQUIRES: by the thread that changes.
  std::vector<ModelEntry> Collect(absl::Time now);

 private:
  using VersionMap = std::map<int64_t, ModelEntry>;
  struct Departing {
    std::string name;
    int64_t version;
    std::shared_ptr<const ServedModel> served;
    absl::Time drain_at = absl::InfiniteFuture();  // set when it is first looked at
    bool draining = false;
  };

  ModelEntry* EntryFor(const std::string& name, int64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(const std::string& name, int64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Depart(ModelEntry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Departs(const ModelEntry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Duration patience_ = absl::InfiniteDuration();  // the changing thread's

  mutable Mutex mutex_;
  std::map<std::string, VersionMap, std::less<>> models_ ABSL_GUARDED_BY(mutex_);
  std::vector<Departing> departing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MODEL_REGISTRY_H_
