// The client library: cuts inputs into chunks (chunk.h), sends them through a pipeline of calls (pipeline.h)
// and joins the answers. A ready model's shape and limits are asked for once and kept until a call that used
// them fails.

#include "client/client.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/chunk.h"
#include "client/convert.h"
#include "client/exchange.h"
#include "client/pipeline.h"
#include "grpcpp/create_channel.h"

namespace glowworm {
namespace client {
namespace {

// Later chunks ask for the version that answered the first, so that one answer never mixes two.
void Pin(const v1::ModelRef& answered, ModelRef* model) {
  if (answered.version() <= 0) return;
  model->version = answered.version();
  if (!answered.name().empty()) model->name = answered.name();
}

std::string RowsText(uint64_t first, int64_t count) {
  if (count == 1) return absl::StrCat("row ", first);
  return absl::StrCat("rows ", first, " to ", first + static_cast<uint64_t>(count) - 1);
}

// The rows of an array in memory as a stream.
RowStream StreamOf(const Array& x, const Conditions& conditions) {
  RowStream stream;
  stream.dtype = x.dtype;
  stream.next = [&x, &conditions, next = int64_t{0}](int64_t max_rows,
                                                     bool) mutable -> absl::StatusOr<RowBlock> {
    RowBlock block;
    const int64_t count = std::min(max_rows, x.rows() - next);
    if (count == 0) return block;
    block.x = x.Slice(next, count);
    block.conditions = conditions;
    if (conditions.context.rows() > 1) block.conditions.context = conditions.context.Slice(next, count);
    if (conditions.class_label.size() > 1) {
      const auto begin = conditions.class_label.begin() + next;
      block.conditions.class_label.assign(begin, begin + count);
    }
    next += count;
    return block;
  };
  return stream;
}

}  // namespace

absl::StatusOr<ModelRef> ModelRef::Parse(absl::string_view text) {
  ModelRef ref;
  const size_t at = text.rfind('@');
  ref.name = std::string(text.substr(0, at));
  if (at == absl::string_view::npos) return ref;
  if (!absl::SimpleAtoi(text.substr(at + 1), &ref.version) || ref.version <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a model as NAME or NAME@VERSION, VERSION a positive integer, got \"", text, "\""));
  }
  return ref;
}

// Connection, budget and known models; what Client's methods share.
class Client::Calls {
 public:
  // How long the work may take: all of it, and each of its chunks.
  struct Limit {
    absl::Time deadline;
    absl::Duration chunk = absl::InfiniteDuration();
  };

  Calls(std::shared_ptr<grpc::Channel> channel, ClientOptions options, std::unique_ptr<TokenFile> token)
      : options_(std::move(options)),
        token_(std::move(token)),
        stub_(v1::DensityService::NewStub(std::move(channel))),
        budget_(options_.retry),
        random_(options_.jitter_seed ? *options_.jitter_seed : std::random_device()()) {}

  Limit Whole(const CallOptions& call) {
    return {options_.time->Now() + call.deadline, absl::InfiniteDuration()};
  }
  Limit PerChunk(const CallOptions& call) { return {absl::InfiniteFuture(), call.deadline}; }

  template <typename Request, typename Reply>
  absl::StatusOr<Reply> One(Request request, const Limit& limit) {
    Reply reply;
    bool given = false;
    auto deliver = [&reply](Reply got) {
      reply = std::move(got);
      return absl::OkStatus();
    };
    auto source = [&](bool, Exchange* exchange) -> absl::StatusOr<Pulled> {
      if (std::exchange(given, true)) return Pulled::kEnd;
      *exchange = MakeExchange<Request, Reply>(stub_.get(), std::move(request), deliver, "");
      return Pulled::kExchange;
    };
    absl::Status status = RunPipeline(source, Options(limit));
    if (!status.ok()) return status;
    return reply;
  }

  absl::StatusOr<v1::Model> AskModel(const ModelRef& model, const Limit& limit) {
    v1::GetModelRequest request;
    SetModel(model, request.mutable_model());
    absl::StatusOr<v1::Model> found = One<v1::GetModelRequest, v1::Model>(std::move(request), limit);
    // A model that is loading has neither shape nor limits yet.
    if (found.ok() && found->state() == v1::MODEL_STATE_READY) {
      std::lock_guard<std::mutex> lock(mutex_);
      auto known = std::make_shared<const v1::Model>(*found);
      models_[{model.name, model.version}] = known;
      models_[{found->ref().name(), found->ref().version()}] = known;
    }
    return found;
  }

  // LogLikelihood, Encode and Decode. `total`: rows in all if known, else -1.
  template <typename Request, typename Reply, typename Answer>
  absl::Status Rows(Method method, ModelRef model, const RowStream& rows, int64_t total,
                    const std::function<absl::Status(Answer)>& sink, const Limit& limit) {
    absl::StatusOr<std::shared_ptr<const v1::Model>> known = KnownModel(model, limit);
    if (!known.ok()) return known.status();
    const int64_t max_rows = RowsPerChunk(**known, method, rows.dtype, options_);
    std::vector<int64_t> row_shape((*known)->event_shape().begin(), (*known)->event_shape().end());
    if (method == Method::kDecode) row_shape = {(*known)->latent_size()};

    int64_t sent = 0;
    bool answered = false;
    auto source = [&](bool may_wait, Exchange* exchange) -> absl::StatusOr<Pulled> {
      if (model.version == 0 && sent > 0 && !answered)
        return Pulled::kLater;  // the first chunk pins the version
      absl::StatusOr<RowBlock> block = rows.next(max_rows, may_wait);
      if (!block.ok()) return block.status();
      if (block->x.rows() == 0) return block->later ? Pulled::kLater : Pulled::kEnd;
      absl::Status status = CheckBlock(block->x, block->conditions);
      if (!status.ok()) return status;
      // (rows, D) becomes (rows, ...event); what does not fit goes as it is, and the server says what it
      // expected.
      if (block->x.RowSize() == Product(row_shape)) status = block->x.ReshapeRows(row_shape);
      if (!status.ok()) return status;

      const int64_t count = block->x.rows();
      Request request;
      SetModel(model, request.mutable_model());
      if (!block->conditions.context.empty()) {
        *request.mutable_context() = ToTensor(std::move(block->conditions.context));
      }
      SetRows(*std::move(block), &request);
      auto deliver = [&, count](Reply reply) -> absl::Status {
        if (!std::exchange(answered, true)) Pin(reply.model(), &model);
        absl::StatusOr<Answer> answer = ReadReply(std::move(reply), count);
        return answer.ok() ? sink(*std::move(answer)) : answer.status();
      };
      *exchange = MakeExchange<Request, Reply>(stub_.get(), std::move(request), deliver,
                                               count == total ? "" : RowsText(sent, count));
      sent += count;
      return Pulled::kExchange;
    };
    return Ended(**known, RunPipeline(source, Options(limit)));
  }

  absl::Status Sample(ModelRef model, const SampleRequest& wanted,
                      const std::function<absl::Status(Samples)>& sink, const Limit& limit) {
    absl::StatusOr<std::shared_ptr<const v1::Model>> known = KnownModel(model, limit);
    if (!known.ok()) return known.status();
    const int64_t max_rows = RowsPerChunk(**known, Method::kSample, wanted.dtype, options_);
    absl::optional<uint64_t> seed = wanted.seed;
    int64_t sent = 0;
    bool begun = false;
    bool answered = false;
    auto source = [&](bool, Exchange* exchange) -> absl::StatusOr<Pulled> {
      if (begun && sent >= wanted.num_samples) return Pulled::kEnd;
      if (begun && !answered && (!seed || model.version == 0))
        return Pulled::kLater;  // the first chunk fixes both
      const int64_t count = std::min(max_rows, wanted.num_samples - sent);
      const uint64_t first = wanted.first_index + static_cast<uint64_t>(sent);
      v1::SampleRequest request;
      SetModel(model, request.mutable_model());
      request.set_num_samples(count);
      request.set_first_index(first);
      if (seed) request.set_seed(*seed);
      if (wanted.temperature) request.set_temperature(*wanted.temperature);
      if (!wanted.context.empty()) *request.mutable_context() = ToTensor(wanted.context);
      if (wanted.class_label) request.set_class_label(*wanted.class_label);
      request.set_with_log_likelihood(wanted.with_log_likelihood);
      request.set_dtype(wanted.dtype);
      auto deliver = [&, count, first](v1::SampleResponse reply) -> absl::Status {
        if (!std::exchange(answered, true)) Pin(reply.model(), &model);
        if (!seed) seed = reply.seed();
        absl::StatusOr<Samples> samples = ReadReply(std::move(reply), count);
        if (!samples.ok()) return samples.status();
        if (samples->seed != *seed || samples->first_index != first) {
          return absl::InternalError(absl::StrCat("asked for samples from index ", first, " of seed ", *seed,
                                                  ", the server's reply starts at ", samples->first_index,
                                                  " of seed ", samples->seed));
        }
        return sink(*std::move(samples));
      };
      *exchange = MakeExchange<v1::SampleRequest, v1::SampleResponse>(
          stub_.get(), std::move(request), deliver,
          count == wanted.num_samples ? "" : RowsText(first, count));
      begun = true;
      sent += count;
      return Pulled::kExchange;
    };
    return Ended(**known, RunPipeline(source, Options(limit)));
  }

 private:
  PipelineOptions Options(const Limit& limit) {
    PipelineOptions options;
    options.window = std::max(options_.chunks_in_flight, 1);
    options.deadline = limit.deadline;
    options.exchange_deadline = limit.chunk;
    options.retry = options_.retry;
    options.budget = &budget_;
    options.time = options_.time;
    if (token_ != nullptr) {
      options.prepare = [this](grpc::ClientContext* context) {
        context->AddMetadata(kAuthorization, token_->Authorization());
      };
    }
    options.uniform = [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      return std::uniform_real_distribution<double>()(random_);
    };
    return options;
  }

  absl::StatusOr<std::shared_ptr<const v1::Model>> KnownModel(const ModelRef& model, const Limit& limit) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto it = models_.find({model.name, model.version});
      if (it != models_.end()) return it->second;
    }
    absl::StatusOr<v1::Model> found = AskModel(model, limit);
    if (!found.ok()) return found.status();
    return std::make_shared<const v1::Model>(*std::move(found));
  }

  // A failure may mean that the server came back with other limits, whatever its code: what a server refuses
  // as too large depends on which limit is met first. Asks again at the next call, by whatever name.
  absl::Status Ended(const v1::Model& used, absl::Status status) {
    if (!FromServer(status)) return status;
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto it = models_.begin(); it != models_.end();) {
      const v1::ModelRef& ref = it->second->ref();
      const bool same = ref.name() == used.ref().name() && ref.version() == used.ref().version();
      it = same ? models_.erase(it) : std::next(it);
    }
    return status;
  }

  const ClientOptions options_;
  const std::unique_ptr<TokenFile> token_;  // null: none
  const std::unique_ptr<v1::DensityService::Stub> stub_;
  RetryBudget budget_;

  std::mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, int64_t>, std::shared_ptr<const v1::Model>> models_ ABSL_GUARDED_BY(mutex_);
};

Client::Client(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& address, ClientOptions options) {
  if (address.empty())
    return absl::InvalidArgumentError("expected a server address as HOST:PORT, got an empty one");
  std::unique_ptr<TokenFile> token;
  if (!options.token_file.empty()) {
    if (options.credentials == nullptr && !IsLoopback(address)) {
      return absl::InvalidArgumentError(absl::StrCat("a token for ", address, " is sent over TLS only"));
    }
    absl::StatusOr<std::unique_ptr<TokenFile>> opened = TokenFile::Open(options.token_file);
    if (!opened.ok()) return opened.status();
    token = *std::move(opened);
  }
  grpc::ChannelArguments arguments;
  // What is meant for this machine does not go through a proxy of the environment's, in plaintext.
  if (IsLoopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  // One gRPC retry beneath ours would multiply the attempts.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Reconnect as soon as our own backoff tries again; gRPC's default waits a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  const int64_t receive = std::min<int64_t>(options.max_receive_bytes, std::numeric_limits<int>::max());
  arguments.SetMaxReceiveMessageSize(static_cast<int>(receive));
  auto credentials = options.credentials ? options.credentials : grpc::InsecureChannelCredentials();
  auto channel = grpc::CreateCustomChannel(address, credentials, arguments);
  auto calls = std::make_unique<Calls>(std::move(channel), std::move(options), std::move(token));
  return std::unique_ptr<Client>(new Client(std::move(calls)));
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const CallOptions& call) {
  return calls_->One<v1::ListModelsRequest, v1::ListModelsResponse>({}, calls_->Whole(call));
}

absl::StatusOr<v1::Model> Client::GetModel(const ModelRef& model, const CallOptions& call) {
  return calls_->AskModel(model, calls_->Whole(call));
}

namespace {

// A sink that joins the chunks.
template <typename Answer>
std::function<absl::Status(Answer)> Into(Answer* all) {
  return [all](Answer part) { return Append(all, part); };
}

}  // namespace

absl::StatusOr<Scores> Client::LogLikelihood(const ModelRef& model, const Array& x,
                                             const Conditions& conditions, const CallOptions& call) {
  absl::Status status = CheckBlock(x, conditions);
  if (!status.ok()) return status;
  Scores all;
  status = calls_->Rows<v1::LogLikelihoodRequest, v1::LogLikelihoodResponse, Scores>(
      Method::kLogLikelihood, model, StreamOf(x, conditions), x.rows(), Into(&all), calls_->Whole(call));
  if (!status.ok()) return status;
  return all;
}

absl::StatusOr<Encoded> Client::Encode(const ModelRef& model, const Array& x, const Conditions& conditions,
                                       const CallOptions& call) {
  absl::Status status = CheckBlock(x, conditions);
  if (!status.ok()) return status;
  Encoded all;
  status = calls_->Rows<v1::EncodeRequest, v1::EncodeResponse, Encoded>(
      Method::kEncode, model, StreamOf(x, conditions), x.rows(), Into(&all), calls_->Whole(call));
  if (!status.ok()) return status;
  return all;
}

absl::StatusOr<Decoded> Client::Decode(const ModelRef& model, const Array& z, const Array& context,
                                       const CallOptions& call) {
  const Conditions conditions{context, {}};
  absl::Status status = CheckBlock(z, conditions);
  if (!status.ok()) return status;
  Decoded all;
  status = calls_->Rows<v1::DecodeRequest, v1::DecodeResponse, Decoded>(
      Method::kDecode, model, StreamOf(z, conditions), z.rows(), Into(&all), calls_->Whole(call));
  if (!status.ok()) return status;
  return all;
}

absl::StatusOr<Samples> Client::Sample(const ModelRef& model, const SampleRequest& request,
                                       const CallOptions& call) {
  Samples all;
  absl::Status status = calls_->Sample(model, request, Into(&all), calls_->Whole(call));
  if (!status.ok()) return status;
  return all;
}

absl::Status Client::LogLikelihood(const ModelRef& model, const RowStream& rows,
                                   const std::function<absl::Status(Scores)>& sink, const CallOptions& call) {
  return calls_->Rows<v1::LogLikelihoodRequest, v1::LogLikelihoodResponse, Scores>(
      Method::kLogLikelihood, model, rows, -1, sink, calls_->PerChunk(call));
}

absl::Status Client::Encode(const ModelRef& model, const RowStream& rows,
                            const std::function<absl::Status(Encoded)>& sink, const CallOptions& call) {
  return calls_->Rows<v1::EncodeRequest, v1::EncodeResponse, Encoded>(Method::kEncode, model, rows, -1, sink,
                                                                      calls_->PerChunk(call));
}

absl::Status Client::Decode(const ModelRef& model, const RowStream& rows,
                            const std::function<absl::Status(Decoded)>& sink, const CallOptions& call) {
  return calls_->Rows<v1::DecodeRequest, v1::DecodeResponse, Decoded>(Method::kDecode, model, rows, -1, sink,
                                                                      calls_->PerChunk(call));
}

absl::Status Client::Sample(const ModelRef& model, const SampleRequest& request,
                            const std::function<absl::Status(Samples)>& sink, const CallOptions& call) {
  return calls_->Sample(model, request, sink, calls_->PerChunk(call));
}

}  // namespace client
}  // namespace glowworm
