// glowworm models: what a server serves, as a table, as one model's page, or as JSON.
// Tested by tests/client/command_test.cc.

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/byte_writer.h"
#include "client/command/session.h"

namespace glowworm {
namespace client {
namespace {

using Row = std::vector<std::string>;

// Text of the server's for a terminal: no line breaks, no escapes.
std::string Printable(std::string text) {
  for (char& c : text) c = absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
  return text;
}

// Columns as wide as their widest cell; the last one is not padded.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += Printable(row[i]);
      if (i + 1 < row.size()) line.append(widths[i] + 2 - row[i].size(), ' ');
    }
    absl::StripTrailingAsciiWhitespace(&line);
    text += line + "\n";
  }
  return text;
}

std::string StateText(const v1::Model& model) {
  return std::string(absl::StripPrefix(v1::ModelState_Name(model.state()), "MODEL_STATE_"));
}

std::string EventText(const v1::Model& model) { return absl::StrJoin(model.event_shape(), "x"); }

std::string Summary(const v1::ListModelsResponse& models) {
  std::vector<Row> rows = {{"NAME", "VERSION", "STATE", "EVENT", "CONTEXT", "CLASSES", "PARAMETERS",
                            "PRECISION", "DEVICE", "CONDITION", "TAILS", "DESCRIPTION"}};
  for (const v1::Model& model : models.models()) {
    rows.push_back({model.ref().name(), absl::StrCat(model.ref().version()), StateText(model),
                    EventText(model), absl::StrCat(model.context_size()), absl::StrCat(model.num_classes()),
                    absl::StrCat(model.parameters()), model.precision(), model.device(),
                    absl::StrFormat("%.3g", model.max_condition_number()),
                    model.has_calibration() ? "yes" : "no",
                    model.error().empty() ? model.description() : model.error()});
  }
  return Table(rows);
}

std::string Page(const v1::Model& model) {
  std::vector<Row> rows = {{"name", model.ref().name()},
                           {"version", absl::StrCat(model.ref().version())},
                           {"state", StateText(model)},
                           {"event shape", EventText(model)},
                           {"latent size", absl::StrCat(model.latent_size())},
                           {"context size", absl::StrCat(model.context_size())},
                           {"classes", absl::StrCat(model.num_classes())},
                           {"parameters", absl::StrCat(model.parameters())},
                           {"precision", model.precision()},
                           {"device", model.device()},
                           {"worst condition number", absl::StrFormat("%.4g", model.max_condition_number())},
                           {"tail probabilities", model.has_calibration() ? "yes" : "no"},
                           {"sha256", model.sha256()},
                           {"most rows a call", absl::StrCat(model.limits().max_rows())},
                           {"most samples a call", absl::StrCat(model.limits().max_samples())},
                           {"most bytes a request", absl::StrCat(model.limits().max_message_bytes())},
                           {"most bytes a reply", absl::StrCat(model.limits().max_reply_bytes())}};
  if (!model.description().empty()) rows.push_back({"description", model.description()});
  if (!model.error().empty()) rows.push_back({"error", model.error()});
  const std::map<std::string, std::string> provenance(model.provenance().begin(), model.provenance().end());
  for (const auto& entry : provenance) rows.push_back({"provenance: " + entry.first, entry.second});
  std::string text = Table(rows);
  if (model.layers_size() == 0) return text;
  std::vector<Row> layers = {{"LAYER", "KIND", "CONDITION", "LOG|DET W|", "MIN|S|", "MAX|S|"}};
  for (const v1::LayerInfo& layer : model.layers()) {
    const bool linear = layer.kind() == "linear";
    const auto number = [&](double value) {
      return linear ? absl::StrFormat("%.4g", value) : std::string("-");
    };
    layers.push_back({layer.name(), layer.kind(), number(layer.condition_number()),
                      number(layer.log_abs_det()), number(layer.min_abs_s()), number(layer.max_abs_s())});
  }
  return text + "\n" + Table(layers);
}

absl::StatusOr<std::string> Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return absl::InternalError("the server's reply cannot be written as JSON");
  return text;
}

absl::Status RunModels(const Flags& flags, const Console& console) {
  absl::StatusOr<ModelRef> ref = ModelRef::Parse(flags.Text("model"));
  if (!ref.ok()) return ref.status();
  absl::StatusOr<std::unique_ptr<Client>> client = OpenClient(flags, console);
  if (!client.ok()) return client.status();
  absl::StatusOr<std::string> text = std::string();
  if (flags.Has("model")) {
    absl::StatusOr<v1::Model> model = (*client)->GetModel(*ref, CallOptionsOf(flags));
    if (!model.ok()) return model.status();
    text = flags.Switch("json") ? Json(*model) : Page(*model);
  } else {
    absl::StatusOr<v1::ListModelsResponse> models = (*client)->ListModels(CallOptionsOf(flags));
    if (!models.ok()) return models.status();
    text = flags.Switch("json") ? Json(*models) : Summary(*models);
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<std::unique_ptr<ByteWriter>> out = ByteWriter::Open("-", console.out);
  if (!out.ok()) return out.status();
  absl::Status status = (*out)->Write(*text);
  return status.ok() ? (*out)->Finish() : status;
}

}  // namespace

Command ModelsCommand() {
  return {
      "models", "what the server serves",
      R"(Prints a table of all models, those that failed to load included; with --model, one model's page with its layers.

Examples:
  glowworm models
  glowworm models --model=digits
  glowworm models --json | jq '.models[].ref.name'
)",
      Join({ServerFlags(),
            {{"model", FlagKind::kText, "NAME[@VERSION]", "only this one, with its limits and layers"},
             {"json", FlagKind::kSwitch, "", "the server's reply as JSON"}}}),
      RunModels};
}

}  // namespace client
}  // namespace glowworm
