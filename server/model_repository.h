// ModelRepository: the thread that makes the registry agree with the repository's folder: it reads the folder
// (repository_scan.h), asks the policy which versions are wanted, loads those and lets go of the others.
//
// Models load one after the other. A new version is ready beside the old ones before any of
// them goes: one that left the folder goes once another that is wanted is ready, or if none is left there;
// one that left the policy goes once as many are ready as the policy wants. So a bad new version leaves the
// old one serving. A file that changed in its place is loaded anew, and takes over at once or not at all.
// What failed is tried again when its file changes, or at the next poll if it was no fault of the file:
// memory, descriptors, the disk. What cannot be read (the root, a model's folder) changes
// nothing that serves, nor does an empty root: that is what an unmounted volume looks like. Publish by
// rename: a file that is still being written fails, and is tried again when it has changed. Thread-safe.
// Tested by tests/server/repository_test.cc and tests/e2e/reload_test.py.

#ifndef GLOWWORM_SERVER_MODEL_REPOSITORY_H_
#define GLOWWORM_SERVER_MODEL_REPOSITORY_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/clock.h"
#include "server/model_registry.h"
#include "server/mutex.h"
#include "server/options.h"
#include "server/repository_scan.h"
#include "server/served_model.h"
#include "server/version_policy.h"

namespace glowworm {

struct RepositoryOptions {
  std::string root;
  RepositoryMode mode = RepositoryMode::kFixed;
  absl::Duration poll_interval = absl::Seconds(5);
  VersionPolicy policy;
  // How long the calls on an unloaded version may last before its streams are ended.
  absl::Duration patience = absl::Seconds(20);
  Clock* clock = RealClock();  // outlives the repository
};

class ModelRepository {
 public:
  // Loads the file at `path` as that model version; runs on the background thread and may take long.
  using Loader = std::function<absl::StatusOr<std::shared_ptr<const ServedModel>>(
      const std::string& name, int64_t version, const std::string& path)>;
  // Told what a version has become: ready, failed (the entry has an error, and is ready still if an older
  // file of it goes on), unloading or unloaded. On the background thread, outside every lock.
  using Listener = std::function<void(const ModelEntry&)>;
  // Runs once, on the background thread, or before the call that took it returns. Must not block.
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // Reads the folder. NotFound if it is no folder that can be read; the text names no path.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(RepositoryOptions options, Loader loader,
                                                               Listener listener);
  // Begins to load, in every mode, what the policy wants. ResourceExhausted if no thread can be started.
  // REQUIRES: called once.
  absl::Status StartLoading();
  // StopLoading and JoinLoader.
  ~ModelRepository();
  ModelRepository(const ModelRepository&) = delete;
  ModelRepository& operator=(const ModelRepository&) = delete;

  const ModelRegistry& registry() const { return registry_; }

  // Explicit mode's calls; FailedPrecondition in any other. None blocks; all are done in the order of asking.
  // Load reads the model's folder anew: `done` is told OK once what the policy wants of it (or just
  // `version`, unless that is 0, beside whatever serves) is ready from the files that are there now,
  // otherwise the first error. What failed before is tried again. Unload: once the last call on the model's
  // versions (or on that one) has ended; new calls do not find them from the beginning.
  void Load(const std::string& name, int64_t version, Done done);
  void Unload(const std::string& name, int64_t version, Done done);
  // The registry's entries, and as kUnloaded what else lies in the folder. Reads the folder: it blocks for as
  // long as that takes.
  absl::StatusOr<std::vector<ModelEntry>> Index() const;

  // Waits until everything that was there at the start is ready or has failed; false if StopLoading comes
  // first.
  bool WaitUntilLoaded() const;
  // After this no further load begins and waiters return; a model whose load ends only now is dropped, and
  // nobody is told of it.
  void StopLoading();
  // Waits for the load that is under way; afterwards neither the loader nor the listener runs, and every Done
  // has run. REQUIRES: StopLoading was called; one thread at a time.
  void JoinLoader();

 private:
  using VersionKey = std::pair<std::string, int64_t>;
  struct Command {
    bool load;
    std::string name;
    int64_t version;
    Done done;
  };
  // An Unload that waits for calls to end.
  struct Farewell {
    std::string name;
    std::set<int64_t> versions;
    Done done;
  };

  ModelRepository(RepositoryOptions options, Loader loader, Listener listener);

  void Add(Command command);
  bool stopping() const;

  // The background thread's.
  void Run();
  // Waits for a command, the next poll or a departure; false once stopping.
  bool WaitForWork(absl::Time next_poll, std::deque<Command>* commands);
  void Poll();
  void FollowAll(const RepositoryListing& listing);
  // Makes one model agree with `found`. OK if every wanted version is ready, from the file that was found.
  absl::Status Follow(const std::string& name, const FoundModel& found, const std::set<int64_t>& wanted,
                      bool retry);
  std::set<int64_t> Wanted(const std::string& name, const FoundModel& found) const;
  bool MustLoad(const VersionKey& key, const FoundVersion& found, bool retry) const;
  absl::Status LoadVersion(const VersionKey& key, const FoundVersion& found);
  void UnloadUnwanted(const std::string& name, const FoundModel& found, const std::set<int64_t>& wanted);
  void UnloadVersion(const VersionKey& key);
  void Execute(Command command);
  absl::Status ExecuteLoad(const Command& command);
  absl::Status ExecuteLoadVersion(const VersionKey& key, const FoundModel& found);
  void ExecuteUnload(Command command);
  void CollectDeparted();

  // Constant after Open.
  const RepositoryOptions options_;
  const Loader loader_;
  const Listener listener_;

  ModelRegistry registry_;

  // The background thread's; Open's before.
  RepositoryListing listing_;                      // the last that could be read
  std::string scan_error_;                         // of the last scan; logged once
  std::map<VersionKey, FileSignature> attempted_;  // what was loaded, or tried, last
  std::vector<Farewell> farewells_;

  mutable Mutex mutex_;
  mutable CondVar loaded_cv_;
  CondVar work_cv_;
  std::deque<Command> commands_ ABSL_GUARDED_BY(mutex_);
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it reads all of the above
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MODEL_REPOSITORY_H_
