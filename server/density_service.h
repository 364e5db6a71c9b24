// DensityService: the RPCs of glowworm.v1.DensityService, on gRPC's callback threads. Nothing here computes
// or blocks: a handler validates, queues the rows and returns; the answer is sent by the thread that computed
// it. Start here; then unary_call.h, sample_stream.cc and log_likelihood_stream.cc. Tested by
// tests/server/service_test.cc.

#ifndef GLOWWORM_SERVER_DENSITY_SERVICE_H_
#define GLOWWORM_SERVER_DENSITY_SERVICE_H_

#include "glowworm/v1/density.grpc.pb.h"
#include "server/call_record.h"

namespace glowworm {

// The callback API for all methods, with messages as bytes for StreamLogLikelihood (see its header).
template <template <typename> class... Methods>
struct CallbackMethods {
  using Service = v1::DensityService::Service;
};
template <template <typename> class First, template <typename> class... Others>
struct CallbackMethods<First, Others...> {
  using Service = First<typename CallbackMethods<Others...>::Service>;
};
using DensityCallbackService = CallbackMethods<
    v1::DensityService::WithCallbackMethod_ListModels, v1::DensityService::WithCallbackMethod_GetModel,
    v1::DensityService::WithCallbackMethod_LogLikelihood, v1::DensityService::WithCallbackMethod_Encode,
    v1::DensityService::WithCallbackMethod_Decode, v1::DensityService::WithCallbackMethod_Sample,
    v1::DensityService::WithCallbackMethod_StreamSamples,
    v1::DensityService::WithRawCallbackMethod_StreamLogLikelihood>::Service;

class DensityService final : public DensityCallbackService {
 public:
  // REQUIRES: `context` outlives the gRPC server.
  explicit DensityService(ServiceContext* context) : context_(context) {}

  // Without `layers` and `provenance` (GetModel has them) where the whole list would exceed max_reply_bytes;
  // RESOURCE_EXHAUSTED if it still does.
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* grpc,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* grpc, const v1::GetModelRequest* request,
                                     v1::Model* response) override;
  grpc::ServerUnaryReactor* LogLikelihood(grpc::CallbackServerContext* grpc,
                                          const v1::LogLikelihoodRequest* request,
                                          v1::LogLikelihoodResponse* response) override;
  grpc::ServerUnaryReactor* Encode(grpc::CallbackServerContext* grpc, const v1::EncodeRequest* request,
                                   v1::EncodeResponse* response) override;
  grpc::ServerUnaryReactor* Decode(grpc::CallbackServerContext* grpc, const v1::DecodeRequest* request,
                                   v1::DecodeResponse* response) override;
  grpc::ServerUnaryReactor* Sample(grpc::CallbackServerContext* grpc, const v1::SampleRequest* request,
                                   v1::SampleResponse* response) override;
  grpc::ServerWriteReactor<v1::SampleResponse>* StreamSamples(grpc::CallbackServerContext* grpc,
                                                              const v1::SampleRequest* request) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StreamLogLikelihood(
      grpc::CallbackServerContext* grpc) override;

 private:
  ServiceContext* const context_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_DENSITY_SERVICE_H_
