// ModelRepository: the folder of models that the server was started with, and what became of each.
//
// <root>/<model>/<version>/flow.safetensors, version a positive integer; anything else in these folders is
// ignored, a version folder without that file too (with a warning: it may be one that is still being copied).
// What is there and cannot be read, a symbolic link to nothing included, is a failed model; a whole model
// folder of that kind is listed as version 0. The folder is read once. Models load one after the other on a
// background thread of low priority; a failed one stays listed with its error. Thread-safe. Tested by
// tests/server/repository_test.cc.

#ifndef GLOWWORM_SERVER_MODEL_REPOSITORY_H_
#define GLOWWORM_SERVER_MODEL_REPOSITORY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/mutex.h"
#include "server/served_model.h"

namespace glowworm {

// The values are those of glowworm.v1.ModelState.
enum class ModelState { kLoading = 1, kReady = 2, kFailed = 3 };

struct ModelEntry {
  std::string name;
  int64_t version = 0;
  ModelState state = ModelState::kLoading;
  absl::Status error;                         // why it failed
  std::shared_ptr<const ServedModel> served;  // set once it is ready
};

class ModelRepository {
 public:
  // Loads the file at `path` as that model version; runs on the background thread and may take long.
  using Loader = std::function<absl::StatusOr<std::shared_ptr<const ServedModel>>(
      const std::string& name, int64_t version, const std::string& path)>;
  // Told when a model has become ready or failed, on the background thread, outside the lock.
  using Listener = std::function<void(const ModelEntry&)>;

  // Lists the folder. NotFound if it is no folder that can be read; the text names no path.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(const std::string& root, Loader loader,
                                                               Listener listener);
  // Begins to load. ResourceExhausted if no thread can be started. REQUIRES: called once.
  absl::Status StartLoading();
  // StopLoading and JoinLoader.
  ~ModelRepository();
  ModelRepository(const ModelRepository&) = delete;
  ModelRepository& operator=(const ModelRepository&) = delete;

  // The ready model that a request means: version 0 is the newest that is ready, an empty name the only model
  // there is. NotFound if it is not in the repository, Unavailable while it loads, FailedPrecondition with
  // its error if it failed (trying again will not help), InvalidArgument if an empty name could mean several.
  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(absl::string_view name, int64_t version) const;
  // Find's answer for an entry of Describe.
  static absl::StatusOr<std::shared_ptr<const ServedModel>> Served(const ModelEntry& entry);
  // The same, but a model that loads or has failed is an answer too.
  absl::StatusOr<ModelEntry> Describe(absl::string_view name, int64_t version) const;
  // Every model version, by name and version.
  std::vector<ModelEntry> List() const;

  // Waits until every model is ready or has failed; false if StopLoading comes first.
  bool WaitUntilLoaded() const;
  // After this no further load begins and waiters return; a model whose load ends only now is dropped, and
  // nobody is told of it.
  void StopLoading();
  // Waits for the load that is under way; afterwards neither the loader nor the listener runs. REQUIRES:
  // StopLoading was called; one thread at a time.
  void JoinLoader();

 private:
  using Versions = std::map<int64_t, ModelEntry>;

  ModelRepository(std::string root, Loader loader, Listener listener);
  absl::Status Scan();
  void ScanModel(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `error` says why it has failed already; OK if it is to be loaded.
  void AddEntry(const std::string& name, int64_t version, absl::Status error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Load(const std::string& name, int64_t version, ModelEntry* entry);
  void LoadAll();
  const ModelEntry* FindEntry(const Versions& versions, int64_t version) const;

  // Constant after Open.
  const std::string root_;
  const Loader loader_;
  const Listener listener_;
  std::vector<std::pair<std::string, int64_t>> to_load_;

  mutable Mutex mutex_;
  mutable CondVar loaded_cv_;
  std::map<std::string, Versions, std::less<>> models_ ABSL_GUARDED_BY(mutex_);
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it reads all of the above
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MODEL_REPOSITORY_H_
