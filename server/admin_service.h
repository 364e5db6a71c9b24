// AdminService: the Open Inference Protocol's repository calls, over the ModelRepository. On the admin
// listener alone. Loading happens on the repository's thread; the calls end from there. Tested by
// tests/server/admin_service_test.cc.

#ifndef GLOWWORM_SERVER_ADMIN_SERVICE_H_
#define GLOWWORM_SERVER_ADMIN_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include "inference/grpc_service.grpc.pb.h"
#include "server/call_record.h"
#include "server/model_repository.h"

namespace glowworm {

class AdminService final : public inference::GRPCInferenceService::CallbackService {
 public:
  // REQUIRES: *context outlives the service.
  explicit AdminService(ServiceContext* context) : context_(context) {}

  // REQUIRES: called before the service is registered; *repository outlives its calls.
  void SetRepository(ModelRepository* repository) { repository_ = repository; }

  // Reads the repository's folder on this thread.
  grpc::ServerUnaryReactor* RepositoryIndex(grpc::CallbackServerContext* grpc,
                                            const inference::RepositoryIndexRequest* request,
                                            inference::RepositoryIndexResponse* response) override;
  // A caller that gives up does not end the load.
  grpc::ServerUnaryReactor* RepositoryModelLoad(grpc::CallbackServerContext* grpc,
                                                const inference::RepositoryModelLoadRequest* request,
                                                inference::RepositoryModelLoadResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryModelUnload(
      grpc::CallbackServerContext* grpc, const inference::RepositoryModelUnloadRequest* request,
      inference::RepositoryModelUnloadResponse* response) override;

 private:
  ServiceContext* const context_;
  ModelRepository* repository_ = nullptr;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_ADMIN_SERVICE_H_
