// glowworm bench: how many calls a server answers, and how fast. Tested by tests/client/bench_test.cc.

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/byte_writer.h"
#include "client/chunk.h"
#include "client/command/bench_load.h"
#include "client/command/find_limit.h"
#include "client/command/session.h"

namespace glowworm {
namespace client {
namespace {

constexpr int64_t kMaxConcurrency = 100000;
constexpr int64_t kOpenLoopConcurrency = 1000;
// Different rows to send: at least one call's worth, else at most so many, of so many numbers, because the
// server draws them first.
constexpr int64_t kPoolRows = 4096;
constexpr int64_t kPoolNumbers = 1 << 18;
constexpr int64_t kMaxInputRows = 1 << 20;
constexpr int64_t kRequests = 64;  // different messages at most

struct Plan {
  Method method = Method::kLogLikelihood;
  const char* name = "LogLikelihood";
};

absl::StatusOr<Plan> PlanOf(const Flags& flags) {
  const std::string name = flags.Text("method", "score");
  if (name == "score") return Plan{Method::kLogLikelihood, "LogLikelihood"};
  if (name == "encode") return Plan{Method::kEncode, "Encode"};
  if (name == "decode") return Plan{Method::kDecode, "Decode"};
  if (name == "sample") return Plan{Method::kSample, "Sample"};
  return absl::InvalidArgumentError(
      absl::StrCat("--method: expected score, encode, decode or sample, got \"", name, "\""));
}

Array NormalRows(int64_t rows, std::vector<int64_t> row_shape) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(rows * Product(row_shape)));
  for (float& value : values) value = normal(random);
  row_shape.insert(row_shape.begin(), rows);
  return Array::Of<float>(std::move(row_shape), values);
}

// --input's rows; else the model's own samples, which lie where its density does; latents for decode.
absl::StatusOr<Array> Pool(const Flags& flags, const Console& console, const Session& session, Method method,
                           int64_t rows, const Array& context) {
  std::vector<int64_t> row_shape(session.info.event_shape().begin(), session.info.event_shape().end());
  if (method == Method::kDecode) row_shape = {session.info.latent_size()};
  if (flags.Has("input")) {
    absl::StatusOr<Array> input = ReadAllRows(flags.Text("input"), console.in, kMaxInputRows);
    if (!input.ok()) return input.status();
    if (input->rows() == 0) return absl::InvalidArgumentError("--input has no rows");
    absl::Status status = input->ReshapeRows(row_shape);
    if (!status.ok()) return status;
    return input;
  }
  if (method == Method::kDecode) return NormalRows(std::max(rows, kPoolRows), row_shape);
  SampleRequest request;
  request.num_samples =
      std::max(rows, std::min({kPoolRows, kPoolNumbers / Product(row_shape), kRequests * rows}));
  request.seed = 1;
  request.dtype = v1::DATA_TYPE_FLOAT32;
  request.context = context;
  request.class_label = flags.Label("class");
  absl::StatusOr<Samples> samples = session.client->Sample(session.model, request, session.call);
  if (!samples.ok()) return samples.status();
  return std::move(samples->x);
}

template <typename Request>
std::string Serialized(Request request, const Session& session, const Array& context) {
  SetModel(session.model, request.mutable_model());
  if (!context.empty()) *request.mutable_context() = ToTensor(context);
  return request.SerializeAsString();
}

absl::StatusOr<std::vector<std::string>> Requests(const Flags& flags, const Console& console,
                                                  const Session& session, Method method, int64_t rows) {
  absl::StatusOr<Array> context = OneContext(flags, console);
  if (!context.ok()) return context.status();
  const absl::optional<int32_t> label = flags.Label("class");
  std::vector<std::string> requests;
  if (method == Method::kSample) {
    for (int64_t i = 0; i < kRequests; ++i) {
      v1::SampleRequest request;
      request.set_num_samples(rows);
      request.set_seed(static_cast<uint64_t>(i));
      if (label) request.set_class_label(*label);
      requests.push_back(Serialized(std::move(request), session, *context));
    }
    return requests;
  }
  absl::StatusOr<Array> pool = Pool(flags, console, session, method, rows, *context);
  if (!pool.ok()) return pool.status();
  while (pool->rows() < rows) {
    absl::Status status = pool->Append(pool->Slice(0, std::min(pool->rows(), rows - pool->rows())));
    if (!status.ok()) return status;
  }
  const int64_t count = std::min(kRequests, pool->rows() / rows);
  for (int64_t i = 0; i < count; ++i) {
    v1::Tensor x = ToTensor(pool->Slice(i * rows, rows));
    if (method == Method::kDecode) {
      v1::DecodeRequest request;
      *request.mutable_z() = std::move(x);
      requests.push_back(Serialized(std::move(request), session, *context));
      continue;
    }
    v1::LogLikelihoodRequest request;  // EncodeRequest has the same fields and numbers
    *request.mutable_x() = std::move(x);
    if (label) request.add_class_label(*label);
    requests.push_back(Serialized(std::move(request), session, *context));
  }
  return requests;
}

std::string Report(const Load& load, const LoadResult& result, int64_t rows, bool json) {
  const double seconds = std::max(absl::ToDoubleSeconds(result.elapsed), 1e-9);
  const double calls = static_cast<double>(result.latencies.size());
  const auto ms = [&](double share) {
    return absl::ToDoubleMilliseconds(Percentile(result.latencies, share));
  };
  std::string errors;
  int64_t failed = 0;
  for (const auto& error : result.errors) {
    const std::string code = absl::StatusCodeToString(error.first);
    absl::StrAppend(&errors,
                    errors.empty() ? ""
                    : json         ? ","
                                   : ", ",
                    json ? absl::StrCat("\"", code, "\":") : absl::StrCat(code, " "), error.second);
    failed += error.second;
  }
  if (json) {
    return absl::StrFormat(
        "{\"loop\":\"%s\",\"concurrency\":%d,\"connections\":%d,\"rows_per_call\":%d,\"seconds\":%.6f,"
        "\"calls\":%d,"
        "\"calls_per_second\":%.3f,\"rows_per_second\":%.3f,\"latency_ms\":{\"p50\":%.4f,\"p90\":%.4f,"
        "\"p99\":%.4f,"
        "\"max\":%.4f},\"failed\":%d,\"errors\":{%s}}\n",
        load.rate ? "open" : "closed", load.concurrency, Connections(load.concurrency), rows, seconds,
        result.latencies.size(), calls / seconds, calls * static_cast<double>(rows) / seconds, ms(0.5),
        ms(0.9), ms(0.99), ms(1), failed, errors);
  }
  const std::string loop = load.rate ? absl::StrFormat("open loop at %g calls/s, at most %d in flight",
                                                       *load.rate, load.concurrency)
                                     : absl::StrFormat("closed loop, %d in flight", load.concurrency);
  return absl::StrFormat(
      "%s, %d connection%s, %d row%s a call\n"
      "answered    %d calls in %.2f s\n"
      "throughput  %.1f calls/s  %.1f rows/s\n"
      "latency     p50 %.3f ms  p90 %.3f ms  p99 %.3f ms  max %.3f ms\n"
      "errors      %s\n",
      loop, Connections(load.concurrency), Connections(load.concurrency) == 1 ? "" : "s", rows,
      rows == 1 ? "" : "s", result.latencies.size(), seconds, calls / seconds,
      calls * static_cast<double>(rows) / seconds, ms(0.5), ms(0.9), ms(0.99), ms(1),
      failed == 0 ? "none" : absl::StrCat(errors, " (", result.first_error, ")"));
}

absl::Status Print(const std::string& text, const Console& console) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> out = ByteWriter::Open("-", console.out);
  if (!out.ok()) return out.status();
  absl::Status status = (*out)->Write(text);
  return status.ok() ? (*out)->Finish() : status;
}

// The search begins at the rate that the closed loop reached.
Limit LimitFrom(const LoadResult& closed, Load load, const Flags& flags, const LatencyBound& bound) {
  const double seconds = std::max(absl::ToDoubleSeconds(closed.elapsed), 1e-9);
  load.concurrency = flags.Count("concurrency", kOpenLoopConcurrency);
  return FindLimit(static_cast<double>(closed.latencies.size()) / seconds, bound, [&load](double rate) {
    load.rate = rate;
    return ApplyLoad(load);
  });
}

// A token is read once: renewing it is not what is measured.
absl::Status AddCredentials(const Flags& flags, const Console& console, Load* load) {
  absl::StatusOr<ClientOptions> options = ClientOptionsOf(flags, console);
  if (!options.ok()) return options.status();
  load->credentials = options->credentials;
  load->server_name = options->server_name;
  if (options->token_file.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<TokenFile>> token = TokenFile::Open(options->token_file);
  if (!token.ok()) return token.status();
  load->authorization = (*token)->Authorization();
  return absl::OkStatus();
}

absl::Status RunBench(const Flags& flags, const Console& console) {
  absl::StatusOr<Plan> plan = PlanOf(flags);
  if (!plan.ok()) return plan.status();
  Load load;
  load.rate = flags.Number("rate");
  if (load.rate && !(*load.rate > 0))
    return absl::InvalidArgumentError("--rate: expected calls a second, above 0");
  load.concurrency = flags.Count("concurrency", load.rate ? kOpenLoopConcurrency : 16);
  if (load.concurrency > kMaxConcurrency) {
    return absl::InvalidArgumentError(
        absl::StrCat("--concurrency: expected at most ", kMaxConcurrency, ", got ", load.concurrency));
  }
  const bool find_limit = flags.Has("find_limit");
  if (find_limit && (load.rate || flags.Has("calls"))) {
    return absl::InvalidArgumentError(
        "--find_limit chooses the rate and the number of calls; leave out --rate and --calls");
  }
  if (find_limit && flags.Duration("find_limit", absl::ZeroDuration()) <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--find_limit: expected a latency above 0");
  }
  if (flags.Has("calls") && flags.Has("duration")) {
    return absl::InvalidArgumentError("--calls and --duration both say when to stop; expected one of them");
  }
  if (flags.Has("calls")) load.calls = flags.Count("calls", 1);
  load.duration = flags.Duration("duration", absl::Seconds(10));
  load.warm_up = flags.Duration("warmup", load.calls ? absl::ZeroDuration() : absl::Seconds(1));
  load.deadline = CallOptionsOf(flags).deadline;
  load.address = ServerAddress(flags, console);
  absl::Status status = AddCredentials(flags, console, &load);
  if (!status.ok()) return status;
  load.method = absl::StrCat("/glowworm.v1.DensityService/", plan->name);

  absl::StatusOr<Session> session = OpenSession(flags, console);
  if (!session.ok()) return session.status();
  const int64_t rows = flags.Count("rows", 1);
  ClientOptions limits;
  limits.max_chunk_rows = rows;
  const int64_t most = RowsPerChunk(session->info, plan->method, v1::DATA_TYPE_FLOAT32, limits);
  if (rows > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rows: one call takes at most ", most, " rows, got ", rows));
  }
  absl::StatusOr<std::vector<std::string>> requests = Requests(flags, console, *session, plan->method, rows);
  if (!requests.ok()) return requests.status();
  load.requests = *std::move(requests);

  const LoadResult result = ApplyLoad(load);
  if (find_limit && !result.latencies.empty()) {
    const LatencyBound bound{flags.Duration("find_limit", absl::ZeroDuration())};
    const Limit limit = LimitFrom(result, load, flags, bound);
    return Print(LimitReport(limit, bound, rows, flags.Switch("json")), console);
  }
  status = Print(Report(load, result, rows, flags.Switch("json")), console);
  if (status.ok() && result.latencies.empty()) return absl::UnavailableError("no call was answered");
  return status;
}

}  // namespace

Command BenchCommand() {
  return {
      "bench", "calls per second and latency",
      R"(Closed loop (the default): --concurrency calls are kept in flight, each begun when one ends. Open loop (--rate): calls
are due on a schedule, and latency counts from when a call was due, so that a slow server cannot hide by slowing the
client; --concurrency then bounds the calls in flight (default 1000). Every 100 calls at once get a connection. Failed
calls are counted by code, are not repeated and have no part in the latencies. Without --input the rows are samples of
the model (for decode: normal numbers). --find_limit raises and lowers the rate of open loops of --duration each until
it knows, to 5 %, the highest rate at which no call fails and 99 % are answered within that time; it takes some twenty
of them, and prints them at the end.

Examples:
  glowworm bench --model=digits --concurrency=16 --duration=10s
  glowworm bench --model=digits --rate=500 --duration=30s --deadline=50ms --json
  glowworm bench --model=digits --find_limit=10ms --duration=5s
  glowworm bench --model=thyroid-glow --input=rows.npy --rows=256 --calls=1000
)",
      Join({ServerFlags(),
            ModelFlags(),
            {{"method", FlagKind::kText, "NAME", "score (default), encode, decode or sample"},
             {"concurrency", FlagKind::kCount, "N", "calls in flight (default 16)"},
             {"rate", FlagKind::kNumber, "R", "calls a second, whatever the answers do (open loop)"},
             {"find_limit", FlagKind::kDuration, "TIME", "search for the highest rate with p99 within this"},
             {"duration", FlagKind::kDuration, "TIME",
              "of the measurement, or of each of the search (default 10s)"},
             {"calls", FlagKind::kCount, "N", "measure this many calls instead"},
             {"warmup", FlagKind::kDuration, "TIME", "not counted (default 1s; 0s with --calls)"},
             {"rows", FlagKind::kCount, "N", "of each call (default 1)"},
             {"input", FlagKind::kText, "FILE|-", "rows to send"}},
            ConditionFlags(),
            {{"json", FlagKind::kSwitch, "", "the result as one JSON object"}}}),
      RunBench};
}

}  // namespace client
}  // namespace glowworm
