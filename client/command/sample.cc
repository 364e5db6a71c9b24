// glowworm sample: draws from the flow, as rows or as a picture. Tested by tests/client/command_test.cc.

#include <algorithm>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/byte_writer.h"
#include "client/command/progress.h"
#include "client/command/session.h"
#include "client/image_grid.h"

namespace glowworm {
namespace client {
namespace {

absl::StatusOr<GridOptions> GridOf(const Flags& flags) {
  GridOptions options;
  options.scale = flags.Count("png_scale", 0);
  if (!flags.Has("png_range")) return options;
  const std::vector<std::string> ends = absl::StrSplit(flags.Text("png_range"), ':');
  double low = 0, high = 0;
  if (ends.size() != 2 || !absl::SimpleAtod(ends[0], &low) || !absl::SimpleAtod(ends[1], &high) ||
      !(low < high)) {
    return absl::InvalidArgumentError(absl::StrCat("--png_range: expected LOW:HIGH with LOW < HIGH, got \"",
                                                   flags.Text("png_range"), "\""));
  }
  options.low = low;
  options.high = high;
  return options;
}

absl::StatusOr<SampleRequest> RequestOf(const Flags& flags, const Console& console) {
  SampleRequest request;
  request.num_samples = flags.Count("num", 1);
  request.seed = flags.Index("seed");
  request.first_index = flags.Index("first_index").value_or(0);
  request.temperature = flags.Number("temperature");
  request.class_label = flags.Label("class");
  const std::string dtype = flags.Text("dtype", "float64");
  if (dtype != "float64" && dtype != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("--dtype: expected float32 or float64, got \"", dtype, "\""));
  }
  request.dtype = dtype == "float32" ? v1::DATA_TYPE_FLOAT32 : v1::DATA_TYPE_FLOAT64;
  absl::StatusOr<Array> context = OneContext(flags, console);
  if (!context.ok()) return context.status();
  request.context = *std::move(context);
  return request;
}

absl::Status WritePng(const std::string& name, const Array& images, const GridOptions& grid,
                      const Console& console) {
  absl::StatusOr<std::string> png = GridPng(images, grid);
  if (!png.ok()) return png.status();
  absl::StatusOr<std::unique_ptr<ByteWriter>> out = ByteWriter::Open(name, console.out);
  if (!out.ok()) return out.status();
  absl::Status status = (*out)->Write(*png);
  return status.ok() ? (*out)->Finish() : status;
}

absl::Status RunSample(const Flags& flags, const Console& console) {
  absl::StatusOr<SampleRequest> request = RequestOf(flags, console);
  if (!request.ok()) return request.status();
  absl::StatusOr<GridOptions> grid = GridOf(flags);
  if (!grid.ok()) return grid.status();
  absl::StatusOr<Session> session = OpenSession(flags, console);
  if (!session.ok()) return session.status();
  const std::vector<int64_t> event(session->info.event_shape().begin(), session->info.event_shape().end());
  if (flags.Has("png")) {
    absl::Status drawable = CheckImageShape(event);
    if (drawable.ok() && request->num_samples > kMaxGridImages) {
      drawable = absl::InvalidArgumentError(
          absl::StrCat("--png takes at most ", kMaxGridImages, " images, got --num=", request->num_samples));
    }
    if (!drawable.ok()) return drawable;
  }
  std::unique_ptr<RowWriter> out;  // null: only a picture is wanted
  if (flags.Has("output") || !flags.Has("png")) {
    absl::StatusOr<std::unique_ptr<RowWriter>> opened =
        OpenOutput(flags, console, request->num_samples, request->dtype, event);
    if (!opened.ok()) return opened.status();
    out = *std::move(opened);
  }

  Progress progress(console, request->num_samples);
  StatusCount count;
  Array images;
  absl::optional<uint64_t> seed;
  const auto sink = [&](Samples samples) -> absl::Status {
    seed = samples.seed;
    count.Add(samples.row_status);
    progress.Add(samples.x.rows());
    absl::Status status;
    if (flags.Has("png")) status = images.Append(samples.x);
    if (status.ok() && out != nullptr) status = out->Write(samples.x);
    return status;
  };
  absl::Status status = session->client->Sample(session->model, *request, sink, session->call);
  if (status.ok() && out != nullptr) status = out->Finish();
  if (status.ok() && flags.Has("png")) status = WritePng(flags.Text("png"), images, *grid, console);
  if (!status.ok()) return status;
  // With it the same samples can be drawn again, and more of the same sequence.
  console.Note(absl::StrCat("glowworm: seed ", *seed));
  count.Report(console);
  return absl::OkStatus();
}

}  // namespace

Command SampleCommand() {
  return {
      "sample", "rows drawn from the flow",
      R"(Writes --num rows: .npy in the event's shape, CSV flat. The seed used is said on standard error. Sample i of a seed is
always the same, so --first_index goes on where an earlier run ended.

Examples:
  glowworm sample --model=digits --num=64 --seed=1 --png=digits.png
  glowworm sample --model=thyroid-glow --num=100000 --seed=7 --output=rows.npy --dtype=float32
  glowworm sample --model=thyroid-glow --num=10 --seed=7 --first_index=100000 --temperature=0.8
)",
      Join({ServerFlags(),
            ModelFlags(),
            {{"num", FlagKind::kCount, "N", "how many samples (default 1)"},
             {"seed", FlagKind::kIndex, "N", "names the sequence of samples (default: drawn by the server)"},
             {"first_index", FlagKind::kIndex, "N", "the first sample's place in the sequence (default 0)"},
             {"temperature", FlagKind::kNumber, "T", "multiplies the latents' noise (default 1)"}},
            ConditionFlags(),
            OutputFlags(),
            {{"dtype", FlagKind::kText, "float32|float64", "of the samples (default float64)"},
             {"png", FlagKind::kText, "FILE|-", "a grid of the samples, for flows of grey or RGB images"},
             {"png_range", FlagKind::kText, "LOW:HIGH",
              "values shown as black and white (default: the samples')"},
             {"png_scale", FlagKind::kCount, "N",
              "pixels per value (default: images at least 32 pixels wide)"}}}),
      RunSample};
}

}  // namespace client
}  // namespace glowworm
