// ByteReader: bytes of a file, a pipe or memory, in order, with a look ahead. Tested by
// tests/client/npy_test.cc.

#ifndef GLOWWORM_CLIENT_BYTE_READER_H_
#define GLOWWORM_CLIENT_BYTE_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace glowworm {
namespace client {

// Not thread-safe. Failures are INVALID_ARGUMENT and name the input.
class ByteReader {
 public:
  // "-": `stdin_fd`, which is not owned.
  static absl::StatusOr<std::unique_ptr<ByteReader>> Open(const std::string& name, int stdin_fd);
  // `bytes` as if they were a file's; they must outlive the reader. `name` is for messages.
  static std::unique_ptr<ByteReader> OfMemory(const std::string& name, absl::string_view bytes);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  // Up to `count` bytes, without taking them; fewer only at the end. Blocks.
  absl::StatusOr<std::string> Peek(size_t count);
  // Exactly `count` bytes, or fewer at the end. Memory grows with what comes, not with `count`. Blocks.
  absl::StatusOr<std::string> Read(size_t count);
  // Reads ahead until `count` bytes are there, the input ends or, without may_wait, would block. Returns how
  // many of them are there; ended() tells why they may be fewer.
  absl::StatusOr<size_t> Gather(size_t count, bool may_wait);
  // What is there: at least one byte unless at the end. Blocks only if nothing is there.
  absl::StatusOr<std::string> ReadSome();

  // Whether ReadSome() would not block.
  bool Ready() const;
  // Whether the input's end has been met. Bytes read ahead may be left.
  bool ended() const { return ended_; }
  // Bytes before the end; absent for pipes and terminals.
  absl::optional<int64_t> BytesLeft() const;
  const std::string& name() const { return name_; }

 private:
  ByteReader(std::string name, int fd, bool owned, absl::string_view memory = "")
      : name_(std::move(name)), fd_(fd), owned_(owned), memory_(memory) {}
  static constexpr int kMemory = -2;
  bool CanRead() const;         // whether Fill() would not block
  absl::StatusOr<bool> Fill();  // appends to ahead_; false at the end

  const std::string name_;  // for messages
  const int fd_;            // or kMemory
  const bool owned_;
  absl::string_view memory_;  // not yet read
  std::string ahead_;         // read, not yet taken
  bool ended_ = false;
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_BYTE_READER_H_
