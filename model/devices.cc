// Spelling -> plug-in -> devices. The plug-in is looked for, opened and asked here and nowhere else.

#include "model/devices.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model/cuda/plugin.h"
#include "model/executor.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;

constexpr char kPluginFile[] = "libglowworm_cuda.so";
constexpr char kPluginVariable[] = "GLOWWORM_CUDA_PLUGIN";
constexpr size_t kMaxQuoted = 32;
constexpr int kMaxOrdinal = 1023;

struct Spec {
  bool cpu = false;
  bool cuda = false;          // both: auto
  std::vector<int> ordinals;  // empty: all
};

absl::StatusOr<Spec> Parse(absl::string_view text) {
  std::string quoted(text.substr(0, kMaxQuoted));
  std::replace_if(
      quoted.begin(), quoted.end(), [](unsigned char c) { return !absl::ascii_isgraph(c) || c == '\''; },
      '_');
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("expected cpu, cuda, cuda:N, cuda:N,M or auto, got '", quoted, "'"));
  if (text == "cpu") return Spec{true, false, {}};
  if (text == "cuda") return Spec{false, true, {}};
  if (text == "auto") return Spec{true, true, {}};
  if (!absl::ConsumePrefix(&text, "cuda:")) return wrong;
  Spec out{false, true, {}};
  for (const absl::string_view number : absl::StrSplit(text, ',')) {
    int ordinal = 0;
    const bool digits = !number.empty() && std::all_of(number.begin(), number.end(), absl::ascii_isdigit);
    if (!digits || !absl::SimpleAtoi(number, &ordinal) || ordinal > kMaxOrdinal) return wrong;
    if (std::count(out.ordinals.begin(), out.ordinals.end(), ordinal) > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected each device once, got ", ordinal, " twice in '", quoted, "'"));
    }
    out.ordinals.push_back(ordinal);
  }
  return out;
}

// Where the plug-in is; NotFound if it is nowhere.
absl::StatusOr<fs::path> FindPlugin() {
  std::error_code error;
  if (const char* said = secure_getenv(kPluginVariable); said != nullptr && *said != '\0') {
    if (fs::exists(said, error)) return fs::path(said);
    return absl::NotFoundError(
        absl::StrCat("the CUDA plug-in that ", kPluginVariable, " names does not exist"));
  }
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (const fs::path& folder : {program.parent_path(), program.parent_path() / "../lib/glowworm"}) {
    if (fs::exists(folder / kPluginFile, error)) return folder / kPluginFile;
  }
  return absl::NotFoundError(absl::StrCat("there is no CUDA plug-in: ", kPluginFile,
                                          " lies neither beside the program nor in ../lib/glowworm"));
}

// What the loader said, its files by their names alone.
std::string WithoutPaths(const char* text) {
  std::vector<std::string> words;
  for (const absl::string_view word : absl::StrSplit(text == nullptr ? "no reason is given" : text, ' ')) {
    words.emplace_back(word.substr(word.rfind('/') + 1));  // the whole word if it has none
  }
  return absl::StrJoin(words, " ");
}

absl::StatusOr<const CudaPlugin*> OpenPlugin() {
  const absl::StatusOr<fs::path> path = FindPlugin();
  if (!path.ok()) return path.status();
  void* const library = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);  // for good: its code runs till the end
  if (library == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the CUDA plug-in does not load: ", WithoutPaths(dlerror())));
  }
  const auto table = reinterpret_cast<decltype(&glowworm_cuda_plugin)>(dlsym(library, kCudaPluginSymbol));
  const CudaPlugin* const plugin = table == nullptr ? nullptr : table();
  if (plugin == nullptr) {
    return absl::FailedPreconditionError("the file that should be the CUDA plug-in is another library");
  }
  if (std::strcmp(plugin->build, GLOWWORM_PLUGIN_BUILD) != 0) {
    return absl::FailedPreconditionError(
        "the CUDA plug-in was built of another source than this program: install both from one build");
  }
  return plugin;
}

}  // namespace

absl::Status Devices::CheckSpec(absl::string_view spec) { return Parse(spec).status(); }

absl::StatusOr<std::shared_ptr<const Devices>> Devices::Open(absl::string_view spec) {
  const absl::StatusOr<Spec> wanted = Parse(spec);
  if (!wanted.ok()) return wanted.status();
  absl::StatusOr<std::shared_ptr<Devices>> opened = std::shared_ptr<Devices>(new Devices);
  if (!wanted->cuda) return *opened;
  absl::StatusOr<std::shared_ptr<Devices>> cuda = OpenCuda(wanted->ordinals);
  if (cuda.ok()) return *cuda;
  if (!wanted->cpu) return cuda.status();
  (*opened)->fallback_reason_ = std::string(cuda.status().message());
  return *opened;
}

absl::StatusOr<std::shared_ptr<Devices>> Devices::OpenCuda(std::vector<int> ordinals) {
  const absl::StatusOr<const CudaPlugin*> plugin = OpenPlugin();
  if (!plugin.ok()) return plugin.status();
  const absl::StatusOr<std::vector<std::string>> names = (*plugin)->device_names();
  if (!names.ok()) return names.status();
  const int present = static_cast<int>(names->size());
  if (present == 0) return absl::FailedPreconditionError("the CUDA driver sees no device");
  for (const int ordinal : ordinals) {
    if (ordinal < present) continue;
    return absl::NotFoundError(absl::StrCat("there is no CUDA device ", ordinal, ": the driver sees ",
                                            present, ", the first of them 0"));
  }
  if (ordinals.empty()) {
    ordinals.resize(present);
    std::iota(ordinals.begin(), ordinals.end(), 0);
  }
  std::shared_ptr<Devices> out(new Devices);
  out->plugin_ = *plugin;
  out->name_ = absl::StrCat("cuda:", absl::StrJoin(ordinals, ","));
  out->ordinals_ = std::move(ordinals);
  return out;
}

std::vector<DeviceUse> Devices::Use() const {
  std::vector<DeviceUse> out;
  for (const int ordinal : ordinals_) {
    absl::StatusOr<DeviceUse> use = plugin_->use(ordinal);
    if (use.ok()) out.push_back(*std::move(use));
  }
  return out;
}

absl::Status Devices::Check() const {
  for (const int ordinal : ordinals_) {
    const absl::Status status = plugin_->use(ordinal).status();
    if (!status.ok())
      return absl::Status(status.code(), absl::StrCat("cuda:", ordinal, ": ", status.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const Executor>> Devices::CreateExecutor(const Plan& plan, Precision precision,
                                                                        int workers) const {
  if (precision == Precision::kBfloat16) {
    return absl::UnimplementedError(
        "bfloat16 is computed on the CPU only: CUDA devices compute in float32 or float64");
  }
  return plugin_->create_executor(plan, {precision, workers, ordinals_});
}

}  // namespace glowworm
