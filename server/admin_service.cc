// Requests -> the repository's commands.

#include "server/admin_service.h"

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/convert.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

using Parameters = google::protobuf::Map<std::string, inference::ModelRepositoryParameter>;
using inference::ModelRepositoryParameter;

// Ends from whichever thread has its answer; deletes itself when the call is over.
class AdminCall final : public grpc::ServerUnaryReactor {
 public:
  AdminCall(Method method, grpc::CallbackServerContext* grpc, ServiceContext* service)
      : record_(method, grpc, service) {}

  AdminCall* End(absl::Status status) {
    Finish(record_.End(std::move(status)));  // *this may be gone from here on
    return this;
  }

 private:
  void OnDone() override { delete this; }

  CallRecord record_;
};

// The numbers of a version that a parameter may hold; 0 if it is none.
int64_t VersionOf(const ModelRepositoryParameter& parameter) {
  int64_t version = 0;
  if (parameter.parameter_choice_case() == ModelRepositoryParameter::kInt64Param) {
    version = parameter.int64_param();
  } else if (parameter.parameter_choice_case() == ModelRepositoryParameter::kStringParam) {
    if (!absl::SimpleAtoi(parameter.string_param(), &version)) return 0;
  }
  return version > 0 ? version : 0;
}

// Which version a request names, 0 if none. `tolerated` is a parameter that clients send and that says
// nothing here.
absl::StatusOr<int64_t> ReadParameters(const Parameters& parameters, absl::string_view tolerated) {
  int64_t version = 0;
  for (const auto& [name, parameter] : parameters) {
    if (name == "version") {
      version = VersionOf(parameter);
      if (version == 0) {
        return absl::InvalidArgumentError(
            "parameters['version']: expected a positive number, as int64_param or string_param");
      }
    } else if (name != tolerated) {
      return absl::InvalidArgumentError(absl::StrCat("parameters['", Sanitized(name, kMaxNameBytes),
                                                     "']: not known; 'version' is the only one"));
    }
  }
  return version;
}

absl::Status CheckRepositoryName(const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  return absl::NotFoundError("repository_name: expected none, since there is one repository");
}

// The model and version that a load or unload is about.
struct Target {
  std::string name;
  int64_t version = 0;
};
template <typename Request>
absl::StatusOr<Target> ReadTarget(const Request& request, absl::string_view tolerated) {
  absl::Status status = CheckRepositoryName(request.repository_name());
  if (!status.ok()) return status;
  if (!IsModelName(request.model_name())) {
    return absl::InvalidArgumentError(absl::StrCat("model_name: expected a model's name, got '",
                                                   Sanitized(request.model_name(), kMaxNameBytes), "'"));
  }
  const absl::StatusOr<int64_t> version = ReadParameters(request.parameters(), tolerated);
  if (!version.ok()) return version.status();
  return Target{request.model_name(), *version};
}

void FillIndex(const ModelEntry& entry, inference::RepositoryIndexResponse::ModelIndex* out) {
  out->set_name(entry.name);
  out->set_version(absl::StrCat(entry.version));
  out->set_reason(ToGrpcStatus(entry.error).error_message());
  switch (entry.state) {
    case ModelState::kLoading:
      out->set_state("LOADING");
      break;
    case ModelState::kReady:
      out->set_state("READY");
      break;
    case ModelState::kUnloading:
      out->set_state("UNLOADING");
      break;
    case ModelState::kUnloaded:
      out->set_reason("unloaded");
      [[fallthrough]];
    case ModelState::kFailed:
      out->set_state("UNAVAILABLE");
  }
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::RepositoryIndex(grpc::CallbackServerContext* grpc,
                                                        const inference::RepositoryIndexRequest* request,
                                                        inference::RepositoryIndexResponse* response) {
  auto* call = new AdminCall(Method::kRepositoryIndex, grpc, context_);
  absl::Status status = CheckRepositoryName(request->repository_name());
  if (!status.ok()) return call->End(std::move(status));
  const absl::StatusOr<std::vector<ModelEntry>> entries = repository_->Index();
  if (!entries.ok()) return call->End(entries.status());
  for (const ModelEntry& entry : *entries) {
    if (request->ready() && entry.state != ModelState::kReady) continue;
    FillIndex(entry, response->add_models());
  }
  return call->End(absl::OkStatus());
}

grpc::ServerUnaryReactor* AdminService::RepositoryModelLoad(
    grpc::CallbackServerContext* grpc, const inference::RepositoryModelLoadRequest* request,
    inference::RepositoryModelLoadResponse*) {
  auto* call = new AdminCall(Method::kRepositoryModelLoad, grpc, context_);
  const absl::StatusOr<Target> target = ReadTarget(*request, /*tolerated=*/"");
  if (!target.ok()) return call->End(target.status());
  repository_->Load(target->name, target->version,
                    [call](absl::Status status) { call->End(std::move(status)); });
  return call;
}

grpc::ServerUnaryReactor* AdminService::RepositoryModelUnload(
    grpc::CallbackServerContext* grpc, const inference::RepositoryModelUnloadRequest* request,
    inference::RepositoryModelUnloadResponse*) {
  auto* call = new AdminCall(Method::kRepositoryModelUnload, grpc, context_);
  const absl::StatusOr<Target> target = ReadTarget(*request, /*tolerated=*/"unload_dependents");
  if (!target.ok()) return call->End(target.status());
  repository_->Unload(target->name, target->version,
                      [call](absl::Status status) { call->End(std::move(status)); });
  return call;
}

}  // namespace glowworm
