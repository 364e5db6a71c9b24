// glowworm score: the log-likelihood of each row, as a table. Tested by tests/client/command_test.cc.

#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/byte_writer.h"
#include "client/command/progress.h"
#include "client/command/session.h"
#include "client/csv.h"

namespace glowworm {
namespace client {
namespace {

// JSON has no NaN and no infinities: null, and the status says which it was.
void AppendJsonNumber(double value, std::string* text) {
  if (std::isfinite(value)) {
    AppendNumber(value, text);
  } else {
    text->append("null");
  }
}

void AppendCsvLine(int64_t row, const Scores& scores, size_t i, std::string* text) {
  absl::StrAppend(text, row, ",");
  AppendNumber(scores.log_likelihood[i], text);
  text->append(",");
  if (!scores.tail_probability.empty()) AppendNumber(scores.tail_probability[i], text);
  absl::StrAppend(text, ",", StatusText(scores.row_status[i]), "\n");
}

void AppendJsonLine(int64_t row, const Scores& scores, size_t i, std::string* text) {
  absl::StrAppend(text, "{\"row\":", row, ",\"log_likelihood\":");
  AppendJsonNumber(scores.log_likelihood[i], text);
  text->append(",\"tail_probability\":");
  AppendJsonNumber(scores.tail_probability.empty() ? NAN : scores.tail_probability[i], text);
  absl::StrAppend(text, ",\"status\":\"", StatusText(scores.row_status[i]), "\"}\n");
}

absl::Status RunScore(const Flags& flags, const Console& console) {
  const std::string format = flags.Text("format", "csv");
  if (format != "csv" && format != "jsonl") {
    return absl::InvalidArgumentError(absl::StrCat("--format: expected csv or jsonl, got \"", format, "\""));
  }
  const absl::optional<double> threshold = flags.Number("threshold");
  absl::StatusOr<std::unique_ptr<Input>> input = Input::Open(flags, console);
  if (!input.ok()) return input.status();
  absl::StatusOr<Session> session = OpenSession(flags, console);
  if (!session.ok()) return session.status();
  if (threshold && !session->info.has_calibration()) {
    return absl::InvalidArgumentError(absl::StrCat("--threshold needs tail probabilities, and model ",
                                                   session->model.name, " has no calibration to give them"));
  }
  absl::StatusOr<std::unique_ptr<ByteWriter>> out = ByteWriter::Open(flags.Text("output", "-"), console.out);
  if (!out.ok()) return out.status();
  absl::Status status;
  if (format == "csv") status = (*out)->Write("row,log_likelihood,tail_probability,status\n");
  if (!status.ok()) return status;

  Progress progress(console, (*input)->total_rows());
  StatusCount count;
  int64_t row = 0;
  int64_t unknown = 0;  // rows without a tail probability to compare
  const auto sink = [&](Scores scores) -> absl::Status {
    std::string text;
    for (size_t i = 0; i < scores.log_likelihood.size(); ++i, ++row) {
      if (threshold && (scores.tail_probability.empty() || std::isnan(scores.tail_probability[i]))) ++unknown;
      if (threshold && (scores.tail_probability.empty() || !(scores.tail_probability[i] <= *threshold)))
        continue;
      if (format == "csv") {
        AppendCsvLine(row, scores, i, &text);
      } else {
        AppendJsonLine(row, scores, i, &text);
      }
    }
    count.Add(scores.row_status);
    progress.Add(static_cast<int64_t>(scores.log_likelihood.size()));
    absl::Status written = (*out)->Write(text);
    return written.ok() ? (*out)->Flush() : written;
  };
  status = session->client->LogLikelihood(session->model, (*input)->Stream(), sink, session->call);
  if (!status.ok()) return status;
  status = (*out)->Finish();
  if (!status.ok()) return status;
  count.Report(console);
  if (unknown > 0) {
    console.Note(absl::StrCat("glowworm: ", unknown,
                              " rows have no tail probability and are left out by --threshold"));
  }
  return absl::OkStatus();
}

}  // namespace

Command ScoreCommand() {
  return {
      "score", "the log-likelihood of each row, and how rare it is",
      R"(Writes a table with the columns row (from 0), log_likelihood (in nats), tail_probability (the share of held-out
training data that is at most as likely; empty for models without calibration) and status (OK, NON_FINITE_INPUT,
OUT_OF_SUPPORT or NON_FINITE_RESULT), as CSV or as one JSON object a line (where NaN and infinity are null).

Examples:
  glowworm score --model=digits --input=digits.npy --output=scores.csv
  glowworm score --model=thyroid-glow --input=patients.csv --threshold=0.01      # only the rarest 1 %
  tail -f log.csv | glowworm score --model=thyroid-glow --format=jsonl
)",
      Join({ServerFlags(),
            ModelFlags(),
            InputFlags(),
            ConditionFlags(),
            {{"output", FlagKind::kText, "FILE|-", "the table; - is standard output (default)"},
             {"format", FlagKind::kText, "csv|jsonl", "of the table (default csv)"},
             {"threshold", FlagKind::kNumber, "P", "only rows with tail_probability <= P"}}}),
      RunScore};
}

}  // namespace client
}  // namespace glowworm
