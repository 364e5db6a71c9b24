#include "model/train/training_state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <openssl/evp.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "model/regular_file.h"
#include "model/train/atomic_file.h"

namespace glowworm {
namespace train {
namespace {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

constexpr int64_t kCheckpointFormat = 2;
constexpr int64_t kMaxCheckpointBytes = int64_t{1} << 36;
constexpr size_t kDigestBytes = 32;

// SHA-256, the last bytes of a checkpoint: libtorch takes an archive in which numbers have changed.
std::string Digest(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest), kDigestBytes};
}

// The words of `text` that `other` lacks.
std::string WordsOnlyIn(absl::string_view text, absl::string_view other) {
  const std::set<absl::string_view> known = absl::StrSplit(other, ' ');
  std::vector<absl::string_view> words;
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (known.count(word) == 0) words.push_back(word);
  }
  return words.empty() ? "none of these" : absl::StrJoin(words, " ");
}

// What a training may be resumed with other values of: how fast and how long, not what. A training that blew
// up goes on from its last good epoch with a smaller rate.
constexpr absl::string_view kChangeable[] = {
    "learning_rate=", "warmup_epochs=",       "clip=", "epochs=", "patience=",
    "max_minutes=",   "max_condition_number="};

// `description` without these.
std::string Fixed(absl::string_view description) {
  std::vector<absl::string_view> words = absl::StrSplit(description, ' ');
  const auto changeable = [](absl::string_view word) {
    return std::any_of(std::begin(kChangeable), std::end(kChangeable),
                       [&](absl::string_view key) { return absl::StartsWith(word, key); });
  };
  words.erase(std::remove_if(words.begin(), words.end(), changeable), words.end());
  return absl::StrJoin(words, " ");
}

absl::Status Damaged(absl::string_view how) {
  return absl::InvalidArgumentError(absl::StrCat("the checkpoint is damaged: ", how));
}

OutputArchive WriteNumbers(const TrainingState& state) {
  OutputArchive numbers;
  numbers.write("epoch", c10::IValue(state.epoch));
  numbers.write("step", c10::IValue(state.step));
  numbers.write("position", c10::IValue(state.position));
  numbers.write("sum_nats", c10::IValue(state.sum_nats));
  numbers.write("sum_gradient_norm", c10::IValue(state.sum_gradient_norm));
  numbers.write("epoch_steps", c10::IValue(state.epoch_steps));
  numbers.write("best_nats", c10::IValue(state.best_nats));
  numbers.write("best_epoch", c10::IValue(state.best_epoch));
  numbers.write("seconds", c10::IValue(state.seconds));
  return numbers;
}

c10::IValue Read(InputArchive* archive, const std::string& key) {
  c10::IValue value;
  archive->read(key, value);
  return value;
}

void ReadNumbers(InputArchive* numbers, TrainingState* state) {
  state->epoch = Read(numbers, "epoch").toInt();
  state->step = Read(numbers, "step").toInt();
  state->position = Read(numbers, "position").toInt();
  state->sum_nats = Read(numbers, "sum_nats").toDouble();
  state->sum_gradient_norm = Read(numbers, "sum_gradient_norm").toDouble();
  state->epoch_steps = Read(numbers, "epoch_steps").toInt();
  state->best_nats = Read(numbers, "best_nats").toDouble();
  state->best_epoch = Read(numbers, "best_epoch").toInt();
  state->seconds = Read(numbers, "seconds").toDouble();
}

// libtorch puts a tensor of any shape in a parameter's place.
std::vector<std::vector<int64_t>> ShapesOf(const FlowModel& model) {
  std::vector<std::vector<int64_t>> shapes;
  for (const torch::Tensor& tensor : StateTensors(model)) shapes.push_back(tensor.sizes().vec());
  return shapes;
}

// Throws c10::Error where the archive is not what WriteAll made.
absl::Status ReadAll(InputArchive* archive, const std::string& description, TrainingState* state) {
  if (Read(archive, "format").toInt() != kCheckpointFormat) {
    return absl::InvalidArgumentError("the checkpoint was written by another version of glowworm-train");
  }
  const std::string written = Fixed(Read(archive, "description").toStringRef()), wanted = Fixed(description);
  if (written != wanted) {
    return absl::InvalidArgumentError(absl::StrCat("the checkpoint is of another training: expected ",
                                                   WordsOnlyIn(wanted, written), ", got ",
                                                   WordsOnlyIn(written, wanted)));
  }
  InputArchive model, optimizer, numbers;
  archive->read("model", model);
  const std::vector<std::vector<int64_t>> shapes = ShapesOf(*state->model);
  state->model->load(model);
  if (ShapesOf(*state->model) != shapes) {
    return absl::InvalidArgumentError(
        "the checkpoint is of another training: its parameters have other shapes");
  }
  archive->read("optimizer", optimizer);
  state->optimizer->load(optimizer);
  archive->read("numbers", numbers);
  ReadNumbers(&numbers, state);
  archive->read("order", state->order);
  const int64_t best = Read(archive, "best_count").toInt();
  state->best.resize(static_cast<size_t>(best));
  for (int64_t i = 0; i < best; ++i) {
    archive->read(absl::StrCat("best_", i), state->best[static_cast<size_t>(i)]);
  }
  state->order = state->order.cpu();
  torch::Tensor generator;
  archive->read("generator", generator);
  at::Generator draws = at::detail::getDefaultCPUGenerator();
  draws.set_state(generator.cpu());
  return absl::OkStatus();
}

}  // namespace

std::vector<torch::Tensor> StateTensors(const FlowModel& model) {
  std::vector<torch::Tensor> tensors = model.parameters();
  for (const torch::Tensor& buffer : model.buffers()) tensors.push_back(buffer);
  return tensors;
}

std::unique_ptr<torch::optim::AdamW> MakeOptimizer(const FlowModel& model, const TrainConfig& config) {
  std::vector<torch::Tensor> decayed, others;
  for (const auto& parameter : model.named_parameters()) {
    const bool weight = absl::StrContains(parameter.key(), "conditioner") && parameter.value().dim() > 1;
    (weight ? decayed : others).push_back(parameter.value());
  }
  const auto options = [&](double decay) {
    return std::make_unique<torch::optim::AdamWOptions>(
        torch::optim::AdamWOptions(config.learning_rate).weight_decay(decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::move(decayed), options(config.weight_decay));
  groups.emplace_back(std::move(others), options(0));
  return std::make_unique<torch::optim::AdamW>(std::move(groups));
}

absl::Status SaveCheckpoint(const std::string& path, const std::string& description,
                            const TrainingState& state) {
  std::ostringstream bytes;
  try {
    OutputArchive archive, model, optimizer;
    archive.write("format", c10::IValue(kCheckpointFormat));
    archive.write("description", c10::IValue(description));
    state.model->save(model);
    archive.write("model", model);
    state.optimizer->save(optimizer);
    archive.write("optimizer", optimizer);
    OutputArchive numbers = WriteNumbers(state);
    archive.write("numbers", numbers);
    archive.write("order", state.order.defined() ? state.order : torch::zeros({0}, torch::kInt64));
    archive.write("best_count", c10::IValue(static_cast<int64_t>(state.best.size())));
    for (size_t i = 0; i < state.best.size(); ++i) archive.write(absl::StrCat("best_", i), state.best[i]);
    archive.write("generator", at::detail::getDefaultCPUGenerator().get_state());
    archive.save_to(bytes);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("libtorch could not write the checkpoint: ", error.what()));
  }
  std::string content = bytes.str();
  content += Digest(content);
  return WriteWhole(path, content);
}

absl::Status LoadCheckpoint(const std::string& path, const std::string& description, TrainingState* state) {
  const absl::StatusOr<std::string> bytes = ReadRegularFile(path, kMaxCheckpointBytes);
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError("there is no checkpoint to resume from");
  }
  if (!bytes.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the checkpoint cannot be read: ", bytes.status().message()));
  }
  if (bytes->size() <= kDigestBytes) return Damaged("it has been cut short");
  const size_t size = bytes->size() - kDigestBytes;
  if (bytes->substr(size) != Digest(absl::string_view(*bytes).substr(0, size))) {
    return Damaged("its bytes are not those that were written");
  }
  try {
    InputArchive archive;
    archive.load_from(bytes->data(), size, state->model->device());
    return ReadAll(&archive, description, state);
  } catch (const std::exception&) {
    return Damaged("libtorch cannot read it");
  }
}

}  // namespace train
}  // namespace glowworm
