// Desired -> actual, on one thread.

#include "server/model_repository.h"

#include <sys/resource.h>

#include <algorithm>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

constexpr int kLoaderNiceness = 10;
constexpr size_t kMaxCommands = 64;
// A file that is replaced while it is read is read again, so often.
constexpr int kReadAttempts = 3;
// How soon a departed version is seen to have no call left.
constexpr absl::Duration kDepartureInterval = absl::Milliseconds(20);

// Whether a load failed for something else than its file, and is tried again although the file is the same.
bool MayPass(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

absl::Status Stopping() { return absl::UnavailableError("the server is shutting down"); }

}  // namespace

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(RepositoryOptions options,
                                                                       Loader loader, Listener listener) {
  std::unique_ptr<ModelRepository> out(
      new ModelRepository(std::move(options), std::move(loader), std::move(listener)));
  absl::StatusOr<RepositoryListing> listing = ScanRepository(out->options_.root);
  if (!listing.ok()) return listing.status();
  out->listing_ = *std::move(listing);
  for (const std::string& line : out->listing_.ignored) LogWarning(line);
  for (const auto& [name, found] : out->listing_.models) {  // so that they are known before they are loaded
    if (!found.error.ok()) out->registry_.SetLoading(name, 0);
    for (const int64_t version : out->Wanted(name, found)) out->registry_.SetLoading(name, version);
  }
  return out;
}

ModelRepository::ModelRepository(RepositoryOptions options, Loader loader, Listener listener)
    : options_(std::move(options)), loader_(std::move(loader)), listener_(std::move(listener)) {
  registry_.SetPatience(options_.patience);
}

ModelRepository::~ModelRepository() {
  StopLoading();
  JoinLoader();
}

absl::Status ModelRepository::StartLoading() {
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the thread that loads the models could not be started");
  }
  return absl::OkStatus();
}

void ModelRepository::Load(const std::string& name, int64_t version, Done done) {
  Add({/*load=*/true, name, version, std::move(done)});
}

void ModelRepository::Unload(const std::string& name, int64_t version, Done done) {
  Add({/*load=*/false, name, version, std::move(done)});
}

void ModelRepository::Add(Command command) {
  absl::Status refused;
  if (options_.mode != RepositoryMode::kExplicit) {
    refused = absl::FailedPreconditionError(
        "models are loaded and unloaded by calls only with --repository_mode=explicit");
  } else {
    MutexLock lock(&mutex_);
    if (stopping_) {
      refused = Stopping();
    } else if (commands_.size() >= kMaxCommands) {
      refused = absl::ResourceExhaustedError(
          absl::StrCat(kMaxCommands, " loads and unloads are waiting already; try again later"));
    } else {
      commands_.push_back(std::move(command));
      work_cv_.notify_all();
      return;
    }
  }
  command.done(std::move(refused));
}

absl::StatusOr<std::vector<ModelEntry>> ModelRepository::Index() const {
  absl::StatusOr<RepositoryListing> listing = ScanRepository(options_.root);
  if (!listing.ok()) return listing.status();
  std::map<VersionKey, ModelEntry> out;
  for (const auto& [name, found] : listing->models) {
    for (const auto& [version, file] : found.versions) {
      if (!file.has_file) continue;
      ModelEntry& entry = out[{name, version}];
      entry.name = name;
      entry.version = version;
    }
  }
  for (ModelEntry& entry : registry_.List()) out[{entry.name, entry.version}] = std::move(entry);
  std::vector<ModelEntry> entries;
  for (auto& [key, entry] : out) entries.push_back(std::move(entry));
  return entries;
}

bool ModelRepository::WaitUntilLoaded() const {
  MutexLock lock(&mutex_);
  while (!loaded_ && !stopping_) loaded_cv_.wait(mutex_);
  return loaded_;
}

void ModelRepository::StopLoading() {
  MutexLock lock(&mutex_);
  stopping_ = true;
  loaded_cv_.notify_all();
  work_cv_.notify_all();
}

void ModelRepository::JoinLoader() {
  if (thread_.joinable()) thread_.join();
  std::deque<Command> left;
  {
    MutexLock lock(&mutex_);
    left.swap(commands_);
  }
  for (Command& command : left) command.done(Stopping());
  for (Farewell& farewell : farewells_) farewell.done(Stopping());
  farewells_.clear();
}

bool ModelRepository::stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

void ModelRepository::Run() {
  setpriority(PRIO_PROCESS, 0, kLoaderNiceness);  // of this thread; serving goes first
  FollowAll(listing_);
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    loaded_ = true;
    loaded_cv_.notify_all();
  }
  const bool polls = options_.mode == RepositoryMode::kPoll;
  absl::Time next_poll = polls ? options_.clock->Now() + options_.poll_interval : absl::InfiniteFuture();
  std::deque<Command> commands;
  while (WaitForWork(next_poll, &commands)) {
    for (Command& command : commands) Execute(std::move(command));
    if (options_.clock->Now() >= next_poll) {
      Poll();
      next_poll = options_.clock->Now() + options_.poll_interval;
    }
    CollectDeparted();
  }
}

bool ModelRepository::WaitForWork(absl::Time next_poll, std::deque<Command>* commands) {
  commands->clear();
  const absl::Time now = options_.clock->Now();
  const absl::Time until = registry_.departing() ? std::min(next_poll, now + kDepartureInterval) : next_poll;
  MutexLock lock(&mutex_);
  while (!stopping_ && commands_.empty() && options_.clock->Now() < until) {
    options_.clock->WaitUntil(&work_cv_, &mutex_, until);
  }
  if (stopping_) return false;
  commands->swap(commands_);
  return true;
}

void ModelRepository::CollectDeparted() {
  for (const ModelEntry& entry : registry_.Collect(options_.clock->Now())) listener_(entry);
  for (Farewell& farewell : farewells_) {
    for (const auto& [version, entry] : registry_.Versions(farewell.name)) {
      if (entry.state == ModelState::kUnloading) continue;
      farewell.versions.erase(version);  // it has come back meanwhile
    }
  }
  const auto over = [this](Farewell& farewell) {
    const auto left = registry_.Versions(farewell.name);
    const bool waits = std::any_of(farewell.versions.begin(), farewell.versions.end(),
                                   [&](int64_t version) { return left.count(version) > 0; });
    if (!waits) farewell.done(absl::OkStatus());
    return !waits;
  };
  farewells_.erase(std::remove_if(farewells_.begin(), farewells_.end(), over), farewells_.end());
}

void ModelRepository::Poll() {
  absl::StatusOr<RepositoryListing> listing = ScanRepository(options_.root);
  std::string error;
  if (!listing.ok()) {
    error = std::string(listing.status().message());
  } else if (listing->models.empty() && !listing_.models.empty()) {
    error = "the model repository is empty, as if its volume were not mounted";
  }
  if (!error.empty() && error != scan_error_) {
    LogError(absl::StrCat("kept what is served error=", LogText(error)));
  }
  scan_error_ = error;
  if (!error.empty()) return;
  for (const std::string& line : listing->ignored) {
    const auto& known = listing_.ignored;
    if (std::find(known.begin(), known.end(), line) == known.end()) LogWarning(line);
  }
  listing_ = *std::move(listing);
  FollowAll(listing_);
}

void ModelRepository::FollowAll(const RepositoryListing& listing) {
  for (const auto& [name, found] : listing.models) {
    Follow(name, found, Wanted(name, found), /*retry=*/false).IgnoreError();  // the registry has it
    if (stopping()) return;
  }
  std::set<std::string> left;
  for (const ModelEntry& entry : registry_.List()) {
    if (listing.models.count(entry.name) == 0) left.insert(entry.name);
  }
  for (const std::string& name : left) UnloadUnwanted(name, FoundModel(), {});
}

std::set<int64_t> ModelRepository::Wanted(const std::string& name, const FoundModel& found) const {
  const std::map<int64_t, ModelEntry> entries = registry_.Versions(name);
  std::set<int64_t> there;
  for (const auto& [version, file] : found.versions) {
    // A folder whose file is missing: about to get another one, if it had one.
    const auto entry = entries.find(version);
    const bool served = entry != entries.end() && entry->second.served != nullptr;
    if (file.has_file || !file.error.ok() || served) there.insert(version);
  }
  return options_.policy.Choose(name, there);
}

absl::Status ModelRepository::Follow(const std::string& name, const FoundModel& found,
                                     const std::set<int64_t>& wanted, bool retry) {
  absl::Status first_error = found.error;
  const std::map<int64_t, ModelEntry> before = registry_.Versions(name);
  const auto unreadable = before.find(0);
  if (found.error.ok()) {
    if (unreadable != before.end()) UnloadVersion({name, 0});
  } else if (unreadable == before.end() || unreadable->second.error != found.error) {
    listener_(registry_.SetFailed(name, 0, found.error));
  }
  std::vector<VersionKey> to_load;
  for (const int64_t version : wanted) {
    const VersionKey key(name, version);
    if (!MustLoad(key, found.versions.at(version), retry)) continue;
    registry_.SetLoading(name, version);
    to_load.push_back(key);
  }
  for (const VersionKey& key : to_load) {
    if (stopping()) return Stopping();
    const absl::Status status = LoadVersion(key, found.versions.at(key.second));
    if (first_error.ok()) first_error = status;
    if (found.error.ok()) UnloadUnwanted(name, found, wanted);  // as soon as there is one in its place
  }
  if (stopping()) return Stopping();
  if (found.error.ok()) UnloadUnwanted(name, found, wanted);
  return first_error;
}

bool ModelRepository::MustLoad(const VersionKey& key, const FoundVersion& found, bool retry) const {
  if (!found.has_file && found.error.ok()) return false;
  const std::map<int64_t, ModelEntry> entries = registry_.Versions(key.first);
  const auto entry = entries.find(key.second);
  if (entry == entries.end()) return true;
  const bool is_new =
      entry->second.state == ModelState::kLoading || entry->second.state == ModelState::kUnloading;
  const auto attempted = attempted_.find(key);
  return is_new || attempted == attempted_.end() || attempted->second != found.signature ||
         (retry && !entry->second.error.ok());
}

absl::Status ModelRepository::LoadVersion(const VersionKey& key, const FoundVersion& found) {
  const auto& [name, version] = key;
  const std::string path = FlowPath(options_.root, name, version);
  FileSignature signature = found.signature;
  absl::StatusOr<std::shared_ptr<const ServedModel>> served = nullptr;
  if (!found.error.ok()) served = found.error;
  for (int i = 0; found.error.ok() && i < kReadAttempts; ++i) {
    served = loader_(name, version, path);
    const FileSignature after = SignatureOf(path);
    if (!served.ok() || after == signature) break;
    signature = after;
    served = absl::AbortedError("the file was still being written when it was read; rename it into place");
  }
  if (stopping()) return Stopping();  // too late to be drained
  attempted_[key] = signature;
  if (!served.ok() && (MayPass(served.status()) || SignatureOf(path) != signature)) attempted_.erase(key);
  if (served.ok()) {
    listener_(registry_.SetReady(name, version, *std::move(served)));
    return absl::OkStatus();
  }
  const std::string error = absl::StrReplaceAll(served.status().message(), {{path, "flow.safetensors"}});
  listener_(registry_.SetFailed(name, version, absl::Status(served.status().code(), error)));
  return absl::FailedPreconditionError(
      absl::StrCat("model '", name, "' version ", version, " failed to load: ", error));
}

// Versions that are gone from the folder go once a wanted one is ready in their place, or if none is wanted;
// those that only the policy no longer wants, the oldest first, while as many are ready as it wants.
void ModelRepository::UnloadUnwanted(const std::string& name, const FoundModel& found,
                                     const std::set<int64_t>& wanted) {
  size_t ready = 0;
  std::vector<int64_t> spare;
  for (const auto& [version, entry] : registry_.Versions(name)) {
    const bool is_ready = entry.state == ModelState::kReady;
    if (wanted.count(version) > 0) {
      ready += is_ready ? 1 : 0;
    } else if (is_ready) {
      spare.push_back(version);
    } else if (entry.state != ModelState::kUnloading) {
      UnloadVersion({name, version});
    }
  }
  const auto is_gone = [&](int64_t version) { return found.versions.count(version) == 0; };
  const auto gone = std::stable_partition(spare.begin(), spare.end(), is_gone);
  if (wanted.empty() || ready > 0) {
    std::for_each(spare.begin(), gone, [&](int64_t version) { UnloadVersion({name, version}); });
  }
  const auto missing = static_cast<std::ptrdiff_t>(wanted.size() - ready);
  std::for_each(gone, spare.end() - std::min(missing, spare.end() - gone), [&](int64_t version) {
    UnloadVersion({name, version});
  });
}

void ModelRepository::UnloadVersion(const VersionKey& key) {
  attempted_.erase(key);
  listener_(registry_.Unload(key.first, key.second));
}

void ModelRepository::Execute(Command command) {
  if (stopping()) return command.done(Stopping());
  if (!command.load) return ExecuteUnload(std::move(command));
  command.done(ExecuteLoad(command));
}

absl::Status ModelRepository::ExecuteLoad(const Command& command) {
  const absl::StatusOr<FoundModel> found = ScanModel(options_.root, command.name);
  if (!found.ok()) return found.status();
  if (command.version != 0) return ExecuteLoadVersion({command.name, command.version}, *found);
  const std::set<int64_t> wanted = Wanted(command.name, *found);
  if (wanted.empty()) {
    return absl::NotFoundError(
        absl::StrCat("the repository has no version of model '", command.name, "' that the policy serves"));
  }
  return Follow(command.name, *found, wanted, /*retry=*/true);
}

absl::Status ModelRepository::ExecuteLoadVersion(const VersionKey& key, const FoundModel& found) {
  const auto file = found.versions.find(key.second);
  if (file == found.versions.end() || (!file->second.has_file && file->second.error.ok())) {
    return absl::NotFoundError(
        absl::StrCat("the repository has no model '", key.first, "' version ", key.second));
  }
  if (!MustLoad(key, file->second, /*retry=*/true)) return absl::OkStatus();
  registry_.SetLoading(key.first, key.second);
  return LoadVersion(key, file->second);
}

void ModelRepository::ExecuteUnload(Command command) {
  Farewell farewell{command.name, {}, std::move(command.done)};
  for (const auto& [version, entry] : registry_.Versions(command.name)) {
    if (command.version != 0 && version != command.version) continue;
    farewell.versions.insert(version);
    if (entry.state != ModelState::kUnloading) UnloadVersion({command.name, version});
  }
  if (farewell.versions.empty()) {
    farewell.done(absl::NotFoundError(absl::StrCat(
        "model '", command.name, "'", command.version == 0 ? "" : absl::StrCat(" version ", command.version),
        " is not loaded")));
    return;
  }
  farewells_.push_back(std::move(farewell));
}

}  // namespace glowworm
