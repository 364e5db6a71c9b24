// The flow-file reader: the bytes, the container, the flow as a whole. Layers, nets and bases are read in
// flow_file_*.cc. Tested by tests/model/flow_file_test.cc.

#include "model/flow_file.h"

#include <openssl/evp.h>

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"
#include "model/regular_file.h"

namespace glowworm {
namespace {

constexpr char kMetadataKey[] = "glowworm.flow";
constexpr int64_t kFormat = 1;
constexpr size_t kMaxLayers = 4096;
constexpr size_t kMaxFlowName = 256;           // bytes
constexpr size_t kMaxDescription = 16 * 1024;  // bytes
constexpr size_t kMaxProvenance = 256;         // entries
constexpr size_t kMaxProvenanceText = 4096;    // bytes, of a key or a value

const Place& TheFlow() {
  static const Place* const place = new Place{"the flow", ""};
  return *place;
}

// Texts reach logs, terminals and replies.
bool HasControlBytes(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
  });
}

bool ReadEventShape(Fields* fields, EventShape* event) {
  const Json* json = fields->Need("event_shape");
  if (json == nullptr) return false;
  const auto* items = json->As<Json::Array>();
  if (items == nullptr || (items->size() != 1 && items->size() != 3)) {
    return fields->Fail("event_shape is neither [D] nor [C, H, W]");
  }
  std::vector<int64_t> shape;
  for (const Json& item : *items) {
    const auto* dimension = item.As<uint64_t>();
    if (dimension == nullptr || *dimension < 1 || *dimension > static_cast<uint64_t>(kMaxEventSize)) {
      return fields->Fail(
          absl::StrCat("event_shape holds something else than plain integers of 1 to ", kMaxEventSize));
    }
    shape.push_back(static_cast<int64_t>(*dimension));
  }
  event->channels = shape[0];
  event->image = shape.size() == 3;
  if (event->image) {
    event->height = shape[1];
    event->width = shape[2];
  }
  if (event->channels > kMaxChannels) {
    return fields->Fail(
        absl::StrCat("event_shape has ", event->channels, " channels; at most ", kMaxChannels, " are read"));
  }
  // Each dimension is at most 2^24, so that the products fit.
  if (event->positions() > kMaxEventSize || event->size() > kMaxEventSize) {
    return fields->Fail(
        absl::StrCat("event_shape ", ShapeText(shape), " has more than ", kMaxEventSize, " numbers"));
  }
  return true;
}

bool ReadLayers(FlowSource* source, const Json* json, FlowSpec* spec, EventShape* after) {
  const auto* items = json->As<Json::Array>();
  if (items == nullptr) return source->Fail(TheFlow(), "layers is not an array");
  if (items->size() > kMaxLayers) {
    return source->Fail(TheFlow(), absl::StrCat(items->size(), " layers; at most ", kMaxLayers, " are read"));
  }
  std::set<std::string> names;
  *after = spec->event;
  spec->layers.reserve(items->size());
  for (size_t i = 0; i < items->size(); ++i) {
    Layer& layer = spec->layers.emplace_back();
    if (!ReadLayer(source, (*items)[i], i, *after, spec->context_size, &layer)) return false;
    if (!names.insert(layer.name).second) {
      return source->Fail(TheFlow(), absl::StrCat("two layers are named ", Quoted(layer.name)));
    }
    *after = ShapeAfter(layer, *after);
  }
  return true;
}

// A row has one class: every class_normal has the same classes.
bool CheckClasses(FlowSource* source, const FlowSpec& spec) {
  const ClassNormal* first = nullptr;
  const auto check = [&](const Base& base, const std::string& owner) {
    const auto* normal = std::get_if<ClassNormal>(&base);
    if (normal == nullptr) return true;
    if (first == nullptr) first = normal;
    if (normal->num_classes != first->num_classes) {
      return source->Fail({owner, ""}, absl::StrCat("class_normal has ", normal->num_classes,
                                                    " classes, an earlier one ", first->num_classes));
    }
    if (normal->log_weight == first->log_weight) return true;
    return source->Fail({owner, ""}, "class_normal has another log_weight than an earlier one");
  };
  for (const Layer& layer : spec.layers) {
    const auto* split = std::get_if<Split>(&layer.op);
    if (split != nullptr && !check(split->prior, absl::StrCat("layer ", Quoted(layer.name)))) return false;
  }
  return check(spec.base, "base");
}

bool ReadCalibration(FlowSource* source, const Json* json, Calibration* calibration) {
  Fields fields(source, json, {"calibration", ""});
  std::vector<int64_t> shape;
  if (!fields.Floats("log_likelihood", {{kAny}}, &calibration->log_likelihood, &shape) ||
      !fields.Floats("probability", {shape}, &calibration->probability) || !fields.Done()) {
    return false;
  }
  const std::vector<double>& quantile = calibration->log_likelihood;
  const std::vector<double>& p = calibration->probability;
  for (size_t q = 1; q < quantile.size(); ++q) {
    if (quantile[q] <= quantile[q - 1]) {
      return fields.Fail(absl::StrCat("log_likelihood ", q, " is not above the one before it"));
    }
    if (p[q] < p[q - 1]) return fields.Fail(absl::StrCat("probability ", q, " is below the one before it"));
  }
  if (p.front() < 0 || p.back() > 1) {
    return fields.Fail(
        absl::StrCat("the probabilities run from ", p.front(), " to ", p.back(), "; 0 to 1 is expected"));
  }
  return true;
}

bool ReadProvenance(FlowSource* source, const Json* json, std::map<std::string, std::string>* provenance) {
  const Place place = {"provenance", ""};
  const auto* object = json->As<Json::Object>();
  if (object == nullptr) return source->Fail(place, "an object was expected");
  if (object->size() > kMaxProvenance) {
    return source->Fail(place,
                        absl::StrCat(object->size(), " entries; at most ", kMaxProvenance, " are read"));
  }
  for (const JsonMember& member : *object) {
    const auto* text = member.value.As<std::string>();
    if (text == nullptr) {
      return source->Fail(place, absl::StrCat("the value of ", Quoted(member.key), " is not a string"));
    }
    if (std::max(member.key.size(), text->size()) > kMaxProvenanceText || HasControlBytes(member.key) ||
        HasControlBytes(*text)) {
      return source->Fail(place,
                          absl::StrCat("the entry ", Quoted(member.key), " has control bytes or more than ",
                                       kMaxProvenanceText, " bytes"));
    }
    provenance->emplace(member.key, *text);
  }
  return true;
}

bool ReadTexts(Fields* fields, FlowSpec* spec) {
  if (!fields->Text("name", &spec->name) || !fields->Text("description", &spec->description)) return false;
  if (spec->name.size() > kMaxFlowName || HasControlBytes(spec->name) ||
      spec->name.find_first_of("\n\t") != std::string::npos) {
    return fields->Fail(absl::StrCat("name has control bytes or more than ", kMaxFlowName, " bytes"));
  }
  if (spec->description.size() > kMaxDescription || HasControlBytes(spec->description)) {
    return fields->Fail(
        absl::StrCat("description has control bytes or more than ", kMaxDescription, " bytes"));
  }
  return true;
}

bool ReadFlow(FlowSource* source, const Json& json, FlowSpec* spec) {
  Fields fields(source, &json, TheFlow());
  int64_t format = 0;
  if (!fields.Integer("format", 0, INT64_MAX, &format)) return false;
  if (format != kFormat) {
    return fields.Fail(absl::StrCat("format is ", format, "; this version reads format ", kFormat));
  }
  if (!ReadTexts(&fields, spec) || !ReadEventShape(&fields, &spec->event) ||
      !fields.Integer("context_size", 0, kMaxChannels, &spec->context_size)) {
    return false;
  }
  const Json* layers = fields.Need("layers");
  const Json* base = fields.Need("base");
  const Json* calibration = fields.Optional("calibration");
  const Json* provenance = fields.Need("provenance");
  if (!fields.Done()) return false;

  EventShape after;
  if (!ReadLayers(source, layers, spec, &after)) return false;
  if (!ReadBase(source, base, {"base", ""}, after, nullptr, &spec->base)) return false;
  if (!CheckClasses(source, *spec)) return false;
  if (calibration != nullptr && !ReadCalibration(source, calibration, &spec->calibration.emplace()))
    return false;
  return ReadProvenance(source, provenance, &spec->provenance) && source->AllReferenced();
}

std::string Sha256(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) return "";
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<FlowFile> Parse(std::string bytes) {
  FlowFile file;
  const absl::StatusOr<Safetensors> tensors = Safetensors::Parse(std::move(bytes));
  if (!tensors.ok()) return tensors.status();
  const auto text = tensors->metadata().find(kMetadataKey);
  if (text == tensors->metadata().end() || tensors->metadata().size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("__metadata__ does not hold the one key '", kMetadataKey, "': this is no flow file"));
  }
  const absl::StatusOr<Json> json = ParseStrictJson(text->second);
  if (!json.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(kMetadataKey, " ", json.status().message()));
  }
  FlowSource source(*tensors);
  if (!ReadFlow(&source, *json, &file.spec)) return source.status();
  for (const auto& [name, entry] : tensors->tensors()) {
    if (entry.dtype != Dtype::kI64) file.parameters += entry.size();
  }
  file.sha256 = Sha256(tensors->bytes());
  if (file.sha256.empty()) return absl::InternalError("SHA-256 is not available");
  return file;
}

}  // namespace

absl::StatusOr<FlowFile> ParseFlowFile(std::string bytes) {
  try {
    return Parse(std::move(bytes));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the flow");
  }
}

absl::StatusOr<FlowFile> ReadFlowFile(const std::string& path) {
  absl::StatusOr<std::string> bytes = ReadRegularFile(path, kMaxFileBytes);
  if (!bytes.ok()) return bytes.status();
  return ParseFlowFile(*std::move(bytes));
}

}  // namespace glowworm
