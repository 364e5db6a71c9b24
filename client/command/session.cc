// Connection, model, input and output of a subcommand.

#include "client/command/session.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace glowworm {
namespace client {

std::vector<FlagSpec> ServerFlags() {
  return {{"server", FlagKind::kText, "HOST:PORT", "the server; else GLOWWORM_SERVER, else 127.0.0.1:50051"},
          {"deadline", FlagKind::kDuration, "TIME", "for each chunk of rows, retries included (default 60s)"},
          {"retries", FlagKind::kIndex, "N",
           "how often a call the server could not take is repeated (default 3)"},
          {"tls", FlagKind::kSwitch, "", "speak TLS; the system's authorities sign the server's certificate"},
          {"tls_ca", FlagKind::kText, "FILE", "PEM authorities to trust instead; implies --tls"},
          {"tls_cert", FlagKind::kText, "FILE", "PEM certificate to show to the server; implies --tls"},
          {"tls_key", FlagKind::kText, "FILE", "PEM key of that certificate"},
          {"tls_server_name", FlagKind::kText, "NAME", "in the server's certificate, if not the host's"},
          {"token_file", FlagKind::kText, "FILE", "holds a bearer token; else GLOWWORM_TOKEN_FILE names it"}};
}

std::vector<FlagSpec> ModelFlags() {
  return {{"model", FlagKind::kText, "NAME[@VERSION]", "may be left out when the server has one model"}};
}

std::vector<FlagSpec> ConditionFlags() {
  return {{"context", FlagKind::kText, "FILE|LIST",
           "context rows (one for all or one per row), or numbers: 0.5,1.2"},
          {"class", FlagKind::kLabel, "K", "the class that rows are conditioned on, from 0"}};
}

std::vector<FlagSpec> InputFlags() {
  return {{"input", FlagKind::kText, "FILE|-", "rows as .npy or .csv; - is standard input (default)"},
          {"csv_header", FlagKind::kText, "yes|no|auto",
           "whether the CSV's first row is a header (default auto)"}};
}

std::vector<FlagSpec> OutputFlags() {
  return {{"output", FlagKind::kText, "FILE|-", "rows as .npy or .csv; - is standard output (default)"},
          {"format", FlagKind::kText, "csv|npy", "of the output; by its extension, csv for -"}};
}

std::vector<FlagSpec> Join(const std::vector<std::vector<FlagSpec>>& lists) {
  std::vector<FlagSpec> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::string ServerAddress(const Flags& flags, const Console& console) {
  return flags.Text("server", console.default_server);
}

CallOptions CallOptionsOf(const Flags& flags) { return {flags.Duration("deadline", absl::Seconds(60))}; }

absl::StatusOr<ClientOptions> ClientOptionsOf(const Flags& flags, const Console& console) {
  ClientOptions options;
  const TlsFiles files{flags.Text("tls_ca"), flags.Text("tls_cert"), flags.Text("tls_key")};
  options.server_name = flags.Text("tls_server_name");
  if (flags.Switch("tls") || !files.ca.empty() || !files.cert.empty() || !files.key.empty()) {
    absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = TlsCredentials(files);
    if (!credentials.ok()) return credentials.status();
    options.credentials = *std::move(credentials);
  } else if (!options.server_name.empty()) {
    return absl::InvalidArgumentError("--tls_server_name: expected with --tls");
  }
  options.token_file = flags.Text("token_file", console.default_token_file);
  if (!options.token_file.empty() && options.credentials == nullptr &&
      !IsLoopback(ServerAddress(flags, console))) {
    return absl::InvalidArgumentError(absl::StrCat("--token_file: a token for ",
                                                   ServerAddress(flags, console),
                                                   " is sent over TLS only; give --tls or --tls_ca"));
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Client>> OpenClient(const Flags& flags, const Console& console) {
  absl::StatusOr<ClientOptions> read = ClientOptionsOf(flags, console);
  if (!read.ok()) return read.status();
  ClientOptions options = *std::move(read);
  const uint64_t retries = std::min<uint64_t>(flags.Index("retries").value_or(3), 1000);
  options.retry.max_attempts = 1 + static_cast<int>(retries);
  options.retry.budget = std::max<double>(options.retry.budget, static_cast<double>(retries));
  return Client::Connect(ServerAddress(flags, console), options);
}

absl::StatusOr<Session> OpenSession(const Flags& flags, const Console& console) {
  Session session;
  absl::StatusOr<ModelRef> ref = ModelRef::Parse(flags.Text("model"));
  if (!ref.ok()) return ref.status();
  absl::StatusOr<std::unique_ptr<Client>> client = OpenClient(flags, console);
  if (!client.ok()) return client.status();
  session.client = *std::move(client);
  session.call = CallOptionsOf(flags);
  absl::StatusOr<v1::Model> info = session.client->GetModel(*ref, session.call);
  if (!info.ok()) return info.status();
  if (info->state() == v1::MODEL_STATE_FAILED) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", info->ref().name(), " failed to load: ", info->error()));
  }
  session.info = *std::move(info);
  session.model = *std::move(ref);
  if (!session.info.ref().name().empty()) session.model.name = session.info.ref().name();
  if (session.info.ref().version() > 0) session.model.version = session.info.ref().version();
  return session;
}

namespace {

// "0.5,1.2" as one row; empty if `text` is no list of numbers.
Array ContextList(const std::string& text) {
  std::vector<double> values;
  for (absl::string_view field : absl::StrSplit(text, ',')) {
    double value;
    if (!absl::SimpleAtod(field, &value)) return {};
    values.push_back(value);
  }
  return Array::Of<double>({1, static_cast<int64_t>(values.size())}, values);
}

absl::StatusOr<CsvHeader> HeaderOf(const Flags& flags) {
  const std::string text = flags.Text("csv_header", "auto");
  if (text == "auto") return CsvHeader::kDetect;
  if (text == "yes") return CsvHeader::kYes;
  if (text == "no") return CsvHeader::kNo;
  return absl::InvalidArgumentError(
      absl::StrCat("--csv_header: expected yes, no or auto, got \"", text, "\""));
}

}  // namespace

absl::StatusOr<Array> OneContext(const Flags& flags, const Console& console) {
  if (!flags.Has("context")) return Array();
  Array list = ContextList(flags.Text("context"));
  if (!list.empty()) return list;
  return ReadAllRows(flags.Text("context"), console.in, 1);
}

absl::StatusOr<std::unique_ptr<Input>> Input::Open(const Flags& flags, const Console& console) {
  const std::string name = flags.Text("input", "-");
  if (!flags.Has("input") && isatty(console.in) == 1) {
    return absl::InvalidArgumentError("expected --input=FILE, or rows on standard input");
  }
  if (name == "-" && flags.Text("context") == "-") {
    return absl::InvalidArgumentError("--input and --context cannot both be standard input");
  }
  absl::StatusOr<CsvHeader> header = HeaderOf(flags);
  if (!header.ok()) return header.status();
  std::unique_ptr<Input> input(new Input);
  absl::StatusOr<std::unique_ptr<RowReader>> rows = RowReader::Open(name, console.in, *header);
  if (!rows.ok()) return rows.status();
  input->rows_ = *std::move(rows);
  if (flags.Has("class")) input->class_label_ = {*flags.Label("class")};
  if (!flags.Has("context")) return input;

  input->context_ = ContextList(flags.Text("context"));
  if (!input->context_.empty()) return input;
  absl::StatusOr<std::unique_ptr<RowReader>> contexts = RowReader::Open(flags.Text("context"), console.in);
  if (!contexts.ok()) return contexts.status();
  absl::StatusOr<Array> first = (*contexts)->Take(2);
  if (!first.ok()) return first.status();
  if (first->rows() == 0) return absl::InvalidArgumentError("--context has no rows");
  input->context_ = *std::move(first);
  if (input->context_.rows() == 2) input->contexts_ = *std::move(contexts);
  return input;
}

v1::DataType Input::reply_dtype() const {
  return rows_->dtype() == v1::DATA_TYPE_FLOAT32 ? v1::DATA_TYPE_FLOAT32 : v1::DATA_TYPE_FLOAT64;
}

RowStream Input::Stream() {
  RowStream stream;
  stream.dtype = rows_->dtype();
  stream.next = [this](int64_t max_rows, bool may_wait) { return Next(max_rows, may_wait); };
  return stream;
}

absl::StatusOr<RowBlock> Input::Next(int64_t max_rows, bool may_wait) {
  RowBlock block;
  absl::StatusOr<Array> rows = rows_->Next(max_rows, may_wait, &block.later);
  if (!rows.ok()) return rows.status();
  block.x = *std::move(rows);
  block.conditions.class_label = class_label_;
  block.conditions.context = context_;
  if (contexts_ == nullptr || block.later) return block;
  // At the end of the rows one more context would be one too many.
  absl::StatusOr<Array> contexts = TakeContexts(std::max<int64_t>(block.x.rows(), 1));
  if (!contexts.ok()) return contexts.status();
  if (block.x.rows() == 0 ? contexts->rows() > 0 : contexts->rows() < block.x.rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--context has ", block.x.rows() == 0 ? "more" : "fewer",
                     " rows than --input; expected one for all or one per row"));
  }
  block.conditions.context = *std::move(contexts);
  return block;
}

absl::StatusOr<Array> Input::TakeContexts(int64_t count) {
  const int64_t held = std::min(count, context_.rows());
  Array taken = context_.Slice(0, held);
  context_ = context_.Slice(held, context_.rows() - held);
  if (held == count) return taken;
  absl::StatusOr<Array> more = contexts_->Take(count - held);
  if (!more.ok()) return more.status();
  if (held == 0 || more->rows() == 0) return held == 0 ? *more : taken;
  absl::Status status = taken.Append(*more);
  if (!status.ok()) return status;
  return taken;
}

absl::StatusOr<std::unique_ptr<RowWriter>> OpenOutput(const Flags& flags, const Console& console,
                                                      absl::optional<int64_t> total_rows, v1::DataType dtype,
                                                      std::vector<int64_t> row_shape) {
  const std::string name = flags.Text("output", "-");
  absl::StatusOr<RowFormat> format = RowFormat::kCsv;
  if (!flags.Has("format")) {
    format = FormatOf(name);
  } else if (flags.Text("format") == "npy") {
    format = RowFormat::kNpy;
  } else if (flags.Text("format") != "csv") {
    return absl::InvalidArgumentError(
        absl::StrCat("--format: expected csv or npy, got \"", flags.Text("format"), "\""));
  }
  if (!format.ok()) return format.status();
  row_shape.insert(row_shape.begin(), 0);
  return RowWriter::Open(name, console.out, *format, total_rows, {dtype, std::move(row_shape)});
}

std::string StatusText(v1::RowStatus status) {
  const std::string name = v1::RowStatus_Name(status);
  return name.empty() ? absl::StrCat("STATUS_", static_cast<int>(status))
                      : std::string(absl::StripPrefix(name, "ROW_STATUS_"));
}

void StatusCount::Add(const std::vector<v1::RowStatus>& statuses) {
  rows_ += static_cast<int64_t>(statuses.size());
  for (v1::RowStatus status : statuses) {
    const size_t index = static_cast<size_t>(status);
    if (index < counts_.size()) ++counts_[index];
  }
}

void StatusCount::Report(const Console& console) const {
  for (size_t i = 1; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    console.Note(absl::StrCat("glowworm: ", counts_[i], " of ", rows_,
                              " rows: ", StatusText(static_cast<v1::RowStatus>(i))));
  }
}

}  // namespace client
}  // namespace glowworm
