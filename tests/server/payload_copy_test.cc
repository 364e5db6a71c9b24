// How often a payload is copied between the wire and the flow: after protobuf's parse, not once. (The one
// copy left is the flow's own, into a tile that exists already.) Any copy of a whole payload needs a block of
// its size, so the test counts those, on all threads: client and server share this process, and gRPC's own
// buffers are no operator new.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "tests/server/running_server.h"

namespace {
std::atomic<size_t> counted_from{SIZE_MAX};
std::atomic<int> large_blocks{0};
}  // namespace

// All of them, since what one allocates another frees. Not inlined: GCC would see free() meet a `new` that it
// has not looked into, and warn.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  if (size >= counted_from) ++large_blocks;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  if (void* p = operator new(size, std::nothrow)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace glowworm {
namespace {

constexpr int64_t kRows = 60'000;
constexpr size_t kPayloadBytes =
    kRows * 6 * sizeof(double);  // of SmallFlow, FLOAT64: no other vector is as large

v1::Tensor ManyRows() {
  v1::Tensor out;
  out.set_dtype(v1::DATA_TYPE_FLOAT64);
  out.add_shape(kRows);
  out.add_shape(6);
  out.mutable_data()->resize(kPayloadBytes);
  return out;
}

class PayloadCopyTest : public RunningServerTest {
 protected:
  // Blocks of a payload's size that were taken while `call` ran.
  template <typename Call>
  int LargeBlocksDuring(const Call& call) {
    large_blocks = 0;
    counted_from = kPayloadBytes;
    const grpc::Status status = call();
    counted_from = SIZE_MAX;
    EXPECT_TRUE(status.ok()) << status.error_message();
    return large_blocks;
  }
};

TEST_F(PayloadCopyTest, RowsComeInWithoutACopyAfterTheParse) {
  Start();
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("small");
  *request.mutable_x() = ManyRows();
  v1::LogLikelihoodResponse reply;
  const int blocks = LargeBlocksDuring([&] {
    grpc::ClientContext context;
    return stub()->LogLikelihood(&context, request, &reply);
  });
  EXPECT_EQ(reply.log_likelihood_size(), kRows);
  EXPECT_EQ(blocks, 1) << "the bytes field that protobuf parses into, and no more";
}

TEST_F(PayloadCopyTest, AnswersGoOutFromWhereTheFlowWroteThem) {
  Start();
  v1::EncodeRequest request;
  request.mutable_model()->set_name("small");
  *request.mutable_x() = ManyRows();
  v1::EncodeResponse reply;
  const int blocks = LargeBlocksDuring([&] {
    grpc::ClientContext context;
    return stub()->Encode(&context, request, &reply);
  });
  EXPECT_EQ(reply.z().data().size(), kPayloadBytes);
  EXPECT_EQ(blocks, 3)
      << "the server's bytes fields of the request and of the reply, the client's of the reply";
}

}  // namespace
}  // namespace glowworm
