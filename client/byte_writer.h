// ByteWriter: bytes to a file or a pipe. A file appears under its name only when it is whole.
// Tested by tests/client/row_files_test.cc.

#ifndef GLOWWORM_CLIENT_BYTE_WRITER_H_
#define GLOWWORM_CLIENT_BYTE_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace client {

// Not thread-safe. A pipe whose reader has gone gives CANCELLED (nobody wants the rest: no error for a
// command), any other failure DATA_LOSS. SIGPIPE must be ignored.
class ByteWriter {
 public:
  // "-": `stdout_fd`, which is not owned. A regular file is written beside its place until Finish().
  static absl::StatusOr<std::unique_ptr<ByteWriter>> Open(const std::string& name, int stdout_fd);
  // Without Finish(), removes the unfinished file.
  ~ByteWriter();
  ByteWriter(const ByteWriter&) = delete;
  ByteWriter& operator=(const ByteWriter&) = delete;

  absl::Status Write(absl::string_view bytes);  // buffered
  absl::Status Flush();
  // Flushes and overwrites the bytes at `offset` from where writing began. REQUIRES: CanPatch()
  absl::Status Patch(int64_t offset, absl::string_view bytes);
  bool CanPatch() const { return start_ >= 0; }
  // Flushes and puts the file in its place. Call once, last.
  absl::Status Finish();

 private:
  ByteWriter(std::string name, int fd, bool owned);
  absl::Status WriteAll(absl::string_view bytes, int64_t at);  // at < 0: at the current position
  absl::Status Failure(const char* what) const;

  const std::string name_;
  const int fd_;
  const bool owned_;
  int64_t start_ = -1;     // file offset of the first byte; -1: not seekable
  std::string temporary_;  // the name until Finish(); empty: none
  std::string buffer_;
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_BYTE_WRITER_H_
