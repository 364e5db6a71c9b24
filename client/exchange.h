// The service's methods as Exchanges: which stub method carries which messages, said once.
// Only entry: MakeExchange(). Tested by tests/client/client_test.cc.

#ifndef GLOWWORM_CLIENT_EXCHANGE_H_
#define GLOWWORM_CLIENT_EXCHANGE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/chunk.h"
#include "client/pipeline.h"
#include "glowworm/v1/density.grpc.pb.h"

namespace glowworm {
namespace client {

using Done = std::function<void(grpc::Status)>;
using Stub = v1::DensityService::Stub;

// Begins the call of the method that these messages belong to.
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::ListModelsRequest* request,
                  v1::ListModelsResponse* reply, Done done) {
  stub->async()->ListModels(context, request, reply, std::move(done));
}
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::GetModelRequest* request,
                  v1::Model* reply, Done done) {
  stub->async()->GetModel(context, request, reply, std::move(done));
}
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::LogLikelihoodRequest* request,
                  v1::LogLikelihoodResponse* reply, Done done) {
  stub->async()->LogLikelihood(context, request, reply, std::move(done));
}
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::EncodeRequest* request,
                  v1::EncodeResponse* reply, Done done) {
  stub->async()->Encode(context, request, reply, std::move(done));
}
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::DecodeRequest* request,
                  v1::DecodeResponse* reply, Done done) {
  stub->async()->Decode(context, request, reply, std::move(done));
}
inline void Start(Stub* stub, grpc::ClientContext* context, const v1::SampleRequest* request,
                  v1::SampleResponse* reply, Done done) {
  stub->async()->Sample(context, request, reply, std::move(done));
}

// Puts the rows and class labels in; T: LogLikelihoodRequest or EncodeRequest.
template <typename Request>
inline void SetRows(RowBlock block, Request* request) {
  *request->mutable_x() = ToTensor(std::move(block.x));
  request->mutable_class_label()->Add(block.conditions.class_label.begin(),
                                      block.conditions.class_label.end());
}
inline void SetRows(RowBlock block, v1::DecodeRequest* request) {
  *request->mutable_z() = ToTensor(std::move(block.x));
}

// `stub` is not owned and outlives the call. `deliver` gets the reply of a call that ended well.
template <typename Request, typename Reply>
Exchange MakeExchange(Stub* stub, Request request, std::function<absl::Status(Reply)> deliver,
                      std::string what) {
  struct Messages {
    Request request;
    Reply reply;
  };
  auto messages = std::make_shared<Messages>();
  messages->request = std::move(request);
  Exchange exchange;
  exchange.what = std::move(what);
  exchange.start = [stub, messages](grpc::ClientContext* context, Done done) {
    Start(stub, context, &messages->request, &messages->reply, std::move(done));
  };
  exchange.deliver = [messages, deliver = std::move(deliver)] { return deliver(std::move(messages->reply)); };
  return exchange;
}

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_EXCHANGE_H_
