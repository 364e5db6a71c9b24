// glowworm encode: rows of data to their latents. Tested by tests/client/command_test.cc.

#include <memory>

#include "client/command/progress.h"
#include "client/command/session.h"

namespace glowworm {
namespace client {
namespace {

absl::Status RunEncode(const Flags& flags, const Console& console) {
  absl::StatusOr<std::unique_ptr<Input>> input = Input::Open(flags, console);
  if (!input.ok()) return input.status();
  absl::StatusOr<Session> session = OpenSession(flags, console);
  if (!session.ok()) return session.status();
  const absl::optional<int64_t> total = (*input)->total_rows();
  absl::StatusOr<std::unique_ptr<RowWriter>> out =
      OpenOutput(flags, console, total, (*input)->reply_dtype(), {session->info.latent_size()});
  if (!out.ok()) return out.status();
  Progress progress(console, total);
  StatusCount count;
  const auto sink = [&](Encoded encoded) {
    count.Add(encoded.row_status);
    progress.Add(encoded.z.rows());
    return (*out)->Write(encoded.z);
  };
  absl::Status status = session->client->Encode(session->model, (*input)->Stream(), sink, session->call);
  if (status.ok()) status = (*out)->Finish();
  if (status.ok()) count.Report(console);
  return status;
}

}  // namespace

Command EncodeCommand() {
  return {
      "encode", "rows of data to latents",
      R"(Writes one row of latents for each row of data, in the input's type (float64 for CSV and uint8). Rows that could not
be encoded are NaN, and counted on standard error.

Examples:
  glowworm encode --model=digits --input=digits.npy --output=latents.npy
  glowworm encode --model=tiny-plu --input=x.csv | glowworm decode --model=tiny-plu
)",
      Join({ServerFlags(), ModelFlags(), InputFlags(), ConditionFlags(), OutputFlags()}), RunEncode};
}

}  // namespace client
}  // namespace glowworm
