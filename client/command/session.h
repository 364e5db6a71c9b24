// What the subcommands share: the flags for server, model, input and output, the connection they open and the
// rows they read. Tested by tests/client/command_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_SESSION_H_
#define GLOWWORM_CLIENT_COMMAND_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/command/command.h"
#include "client/row_reader.h"
#include "client/row_writer.h"

namespace glowworm {
namespace client {

// Lists for Command::flags.
std::vector<FlagSpec> ServerFlags();     // server, deadline, retries, tls..., token_file
std::vector<FlagSpec> ModelFlags();      // model
std::vector<FlagSpec> ConditionFlags();  // context, class
std::vector<FlagSpec> InputFlags();      // input, csv_header
std::vector<FlagSpec> OutputFlags();     // output, format
std::vector<FlagSpec> Join(const std::vector<std::vector<FlagSpec>>& lists);

// What the server's flags say of the connection.
absl::StatusOr<ClientOptions> ClientOptionsOf(const Flags& flags, const Console& console);
absl::StatusOr<std::unique_ptr<Client>> OpenClient(const Flags& flags, const Console& console);
std::string ServerAddress(const Flags& flags, const Console& console);
CallOptions CallOptionsOf(const Flags& flags);

// A connection and the model asked for, its version pinned so that long work does not change flows half way.
struct Session {
  std::unique_ptr<Client> client;
  ModelRef model;
  v1::Model info;
  CallOptions call;
};
absl::StatusOr<Session> OpenSession(const Flags& flags, const Console& console);

// --context of one row, for what takes just one: a comma list, or a file of one row; empty without the flag.
absl::StatusOr<Array> OneContext(const Flags& flags, const Console& console);

// The rows of --input with the conditions of --context and --class.
class Input {
 public:
  static absl::StatusOr<std::unique_ptr<Input>> Open(const Flags& flags, const Console& console);

  // Valid as long as this lives.
  RowStream Stream();
  absl::optional<int64_t> total_rows() const { return rows_->total_rows(); }
  // The type of the answers: that of the input, float64 for uint8.
  v1::DataType reply_dtype() const;

 private:
  Input() = default;
  absl::StatusOr<RowBlock> Next(int64_t max_rows, bool may_wait);
  absl::StatusOr<Array> TakeContexts(int64_t count);

  std::unique_ptr<RowReader> rows_;
  std::unique_ptr<RowReader> contexts_;  // null: none, or one for all rows in context_
  Array context_;                        // rows read and not yet given, or the one for all
  std::vector<int32_t> class_label_;
};

// The writer of --output; without the flag, standard output. `row_shape`: of an output that gets no rows.
absl::StatusOr<std::unique_ptr<RowWriter>> OpenOutput(const Flags& flags, const Console& console,
                                                      absl::optional<int64_t> total_rows, v1::DataType dtype,
                                                      std::vector<int64_t> row_shape);

// Counts rows by status and says at the end which were not OK.
class StatusCount {
 public:
  void Add(const std::vector<v1::RowStatus>& statuses);
  // "3 of 100 rows: NON_FINITE_INPUT"; nothing if every row is OK.
  void Report(const Console& console) const;

 private:
  std::vector<int64_t> counts_ = std::vector<int64_t>(4);
  int64_t rows_ = 0;
};

// "OK", "NON_FINITE_INPUT", ...
std::string StatusText(v1::RowStatus status);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_SESSION_H_
