// Fixed mode: listed once, loaded once.

#include "server/model_repository.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;

constexpr char kFlowFile[] = "flow.safetensors";
constexpr int kLoaderNiceness = 10;
constexpr size_t kNamesInMessage = 8;

// A version folder's number, written as a plain positive integer; 0 otherwise.
int64_t ParseVersion(const std::string& folder) {
  int64_t version = 0;
  if (!absl::SimpleAtoi(folder, &version) || version <= 0 || folder != absl::StrCat(version)) return 0;
  return version;
}

std::string PathOf(const std::string& root, const std::string& name, int64_t version) {
  return (fs::path(root) / name / absl::StrCat(version) / kFlowFile).string();
}

// What lies in a folder, up to an error in reading it. (A range-for over the iterator would throw.)
std::vector<fs::path> Children(const fs::path& folder, std::error_code* error) {
  std::vector<fs::path> out;
  fs::directory_iterator end;
  for (fs::directory_iterator it(folder, *error); !*error && it != end; it.increment(*error)) {
    out.push_back(it->path());
  }
  return out;
}

absl::Status CannotBeRead(absl::string_view what, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat(what, " cannot be read: ", why));
}

// What lies at a path, links followed: not_found only where there is not even a link.
struct Found {
  fs::file_type type = fs::file_type::none;
  absl::Status error;
};
Found Look(const fs::path& path) {
  Found out;
  std::error_code error;
  out.type = fs::status(path, error).type();
  if (out.type == fs::file_type::not_found) {
    if (fs::symlink_status(path, error).type() == fs::file_type::symlink) {
      out.error = CannotBeRead(path.filename().string(), "it is a symbolic link to nothing");
    }
  } else if (error) {
    out.error = CannotBeRead(path.filename().string(), error.message());
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(const std::string& root, Loader loader,
                                                                       Listener listener) {
  std::unique_ptr<ModelRepository> out(new ModelRepository(root, std::move(loader), std::move(listener)));
  absl::Status status = out->Scan();
  if (!status.ok()) return status;
  return out;
}

absl::Status ModelRepository::StartLoading() {
  try {
    thread_ = std::thread([this] { LoadAll(); });
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the thread that loads the models could not be started");
  }
  return absl::OkStatus();
}

ModelRepository::ModelRepository(std::string root, Loader loader, Listener listener)
    : root_(std::move(root)), loader_(std::move(loader)), listener_(std::move(listener)) {}

ModelRepository::~ModelRepository() {
  StopLoading();
  JoinLoader();
}

absl::Status ModelRepository::Scan() {
  std::error_code error;
  MutexLock lock(&mutex_);
  for (const fs::path& model : Children(root_, &error)) {
    const std::string name = model.filename().string();
    const Found found = Look(model);
    if (found.type != fs::file_type::directory && found.error.ok()) continue;
    if (!IsModelName(name)) {
      LogWarning(
          absl::StrCat("ignored folder=", Sanitized(name, kMaxNameBytes), " reason=\"not a model name\""));
    } else if (!found.error.ok()) {
      AddEntry(name, 0, found.error);
    } else {
      ScanModel(name);
    }
  }
  if (error)
    return absl::NotFoundError(absl::StrCat("the model repository cannot be read: ", error.message()));
  std::sort(to_load_.begin(), to_load_.end());
  return absl::OkStatus();
}

void ModelRepository::ScanModel(const std::string& name) {
  std::error_code error;
  for (const fs::path& folder : Children(fs::path(root_) / name, &error)) {
    const int64_t version = ParseVersion(folder.filename().string());
    if (version == 0) continue;
    Found found = Look(folder);
    if (found.error.ok() && found.type != fs::file_type::directory) continue;
    if (found.error.ok()) found = Look(folder / kFlowFile);
    if (found.error.ok() && found.type == fs::file_type::not_found) {
      LogWarning(absl::StrCat("ignored folder=", name, "/", version, " reason=\"no ", kFlowFile, " in it\""));
    } else {
      AddEntry(name, version, found.error);
    }
  }
  if (error) AddEntry(name, 0, CannotBeRead("the model's folder", error.message()));
}

void ModelRepository::AddEntry(const std::string& name, int64_t version, absl::Status error) {
  ModelEntry& entry = models_[name][version];
  entry.name = name;
  entry.version = version;
  entry.error = std::move(error);
  if (!entry.error.ok()) entry.state = ModelState::kFailed;
  to_load_.emplace_back(name, version);
}

void ModelRepository::LoadAll() {
  setpriority(PRIO_PROCESS, 0, kLoaderNiceness);  // of this thread; serving goes first
  for (const auto& [name, version] : to_load_) {
    ModelEntry now;
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      now = models_[name][version];
    }
    if (now.state == ModelState::kLoading) Load(name, version, &now);
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;  // too late to be drained
      models_[name][version] = now;
    }
    listener_(now);
  }
  MutexLock lock(&mutex_);
  loaded_ = true;
  loaded_cv_.notify_all();
}

void ModelRepository::Load(const std::string& name, int64_t version, ModelEntry* entry) {
  const std::string path = PathOf(root_, name, version);
  absl::StatusOr<std::shared_ptr<const ServedModel>> served = loader_(name, version, path);
  entry->state = served.ok() ? ModelState::kReady : ModelState::kFailed;
  if (served.ok()) {
    entry->served = *std::move(served);
  } else {
    entry->error = absl::Status(served.status().code(),
                                absl::StrReplaceAll(served.status().message(), {{path, kFlowFile}}));
  }
}

const ModelEntry* ModelRepository::FindEntry(const Versions& versions, int64_t version) const {
  if (version != 0) {
    const auto it = versions.find(version);
    return it == versions.end() ? nullptr : &it->second;
  }
  const ModelEntry* newest = nullptr;  // the newest that is ready, else that loads, else the newest
  const auto rank = [](const ModelEntry& e) {
    return e.state == ModelState::kReady ? 2 : e.state == ModelState::kLoading ? 1 : 0;
  };
  for (const auto& [number, entry] : versions) {
    if (newest == nullptr || rank(entry) >= rank(*newest)) newest = &entry;
  }
  return newest;
}

absl::StatusOr<ModelEntry> ModelRepository::Describe(absl::string_view name, int64_t version) const {
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

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRepository::Find(absl::string_view name,
                                                                         int64_t version) const {
  absl::StatusOr<ModelEntry> entry = Describe(name, version);
  if (!entry.ok()) return entry.status();
  return Served(*entry);
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelRepository::Served(const ModelEntry& entry) {
  if (entry.state == ModelState::kReady) return entry.served;
  const std::string which = absl::StrCat("model '", entry.name, "' version ", entry.version);
  if (entry.state == ModelState::kLoading)
    return absl::UnavailableError(absl::StrCat(which, " is still loading"));
  return absl::FailedPreconditionError(absl::StrCat(which, " failed to load: ", entry.error.message()));
}

std::vector<ModelEntry> ModelRepository::List() const {
  std::vector<ModelEntry> out;
  MutexLock lock(&mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, entry] : versions) out.push_back(entry);
  }
  return out;
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
}

void ModelRepository::JoinLoader() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace glowworm
