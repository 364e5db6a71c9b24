// glowworm decode: rows of latents to data. Tested by tests/client/command_test.cc.

#include <memory>

#include "client/command/progress.h"
#include "client/command/session.h"

namespace glowworm {
namespace client {
namespace {

absl::Status RunDecode(const Flags& flags, const Console& console) {
  absl::StatusOr<std::unique_ptr<Input>> input = Input::Open(flags, console);
  if (!input.ok()) return input.status();
  absl::StatusOr<Session> session = OpenSession(flags, console);
  if (!session.ok()) return session.status();
  const absl::optional<int64_t> total = (*input)->total_rows();
  const auto& event = session->info.event_shape();
  absl::StatusOr<std::unique_ptr<RowWriter>> out =
      OpenOutput(flags, console, total, (*input)->reply_dtype(), {event.begin(), event.end()});
  if (!out.ok()) return out.status();
  Progress progress(console, total);
  StatusCount count;
  const auto sink = [&](Decoded decoded) {
    count.Add(decoded.row_status);
    progress.Add(decoded.x.rows());
    return (*out)->Write(decoded.x);
  };
  absl::Status status = session->client->Decode(session->model, (*input)->Stream(), sink, session->call);
  if (status.ok()) status = (*out)->Finish();
  if (status.ok()) count.Report(console);
  return status;
}

}  // namespace

Command DecodeCommand() {
  return {"decode", "rows of latents to data",
          R"(Writes one row of data for each row of latents: .npy in the event's shape, CSV flat.

Examples:
  glowworm decode --model=digits --input=latents.npy --output=digits.npy
  echo 0,0,0 | glowworm decode --model=tiny-plu
)",
          Join({ServerFlags(),
                ModelFlags(),
                InputFlags(),
                {ConditionFlags()[0]},  // the class plays no part in z -> x
                OutputFlags()}),
          RunDecode};
}

}  // namespace client
}  // namespace glowworm
