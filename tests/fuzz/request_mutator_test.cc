// The request mutator changes every field of every request, and enough of what it makes is a valid request.

#include "tests/fuzz/request_mutator.h"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "server/validate.h"
#include "tests/fuzz/fuzzed_request.h"

namespace glowworm {
namespace {

constexpr size_t kMaxSize = 1 << 14;
constexpr int kTries = 2000;

size_t FlipABit(uint8_t* data, size_t size, size_t /*max_size*/) {
  if (size > 0) data[size / 2] ^= 1;
  return size;
}

FuzzedRequest TwoRows() {
  v1::LogLikelihoodRequest message;
  const FlowInfo& flow = FuzzedFlows()[2];
  message.mutable_x()->set_dtype(v1::DATA_TYPE_UINT8);
  message.mutable_x()->add_shape(2);
  message.mutable_x()->add_shape(flow.event_size);
  message.mutable_x()->set_data(std::string(static_cast<size_t>(2 * flow.event_size), '\1'));
  return {RequestKind::kLogLikelihood, 2, false, message.SerializeAsString()};
}

bool IsValid(const FuzzedRequest& fuzzed) {
  v1::LogLikelihoodRequest request;
  return fuzzed.kind == RequestKind::kLogLikelihood && request.ParseFromString(fuzzed.message) &&
         Validate(request, fuzzed.Flow(), fuzzed.Limits()).ok();
}

TEST(RequestMutator, SomeChangedRequestsAreValid) {
  ASSERT_TRUE(IsValid(TwoRows()));
  const std::string request = Serialize(TwoRows());
  int valid = 0, other = 0;
  for (int seed = 0; seed < kTries; ++seed) {
    const std::string changed = MutateRequest(request, kMaxSize, seed, FlipABit);
    if (changed != request) ++(IsValid(ParseFuzzedRequest(changed)) ? valid : other);
  }
  EXPECT_GE(valid, kTries / 20);
  EXPECT_GE(other, kTries / 4);
}

TEST(RequestMutator, ReachesEveryFieldOfEveryKind) {
  for (int kind = 0; kind < kRequestKinds; ++kind) {
    FuzzedRequest start;
    start.kind = static_cast<RequestKind>(kind);
    std::string request = Serialize(start);
    std::set<std::string> seen;
    const auto* descriptor = start.NewMessage()->GetDescriptor();
    for (int seed = 0; seed < kTries; ++seed) {  // one change upon another
      request = MutateRequest(request, kMaxSize, seed, FlipABit);
      const auto message = start.NewMessage();
      if (!message->ParseFromString(ParseFuzzedRequest(request).message)) request = Serialize(start);
      for (int i = 0; i < descriptor->field_count(); ++i) {
        const auto* field = descriptor->field(i);
        const auto* reflection = message->GetReflection();
        if (field->is_repeated() ? reflection->FieldSize(*message, field) > 0
                                 : reflection->HasField(*message, field)) {
          seen.insert(field->name());
        }
      }
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(descriptor->field_count())) << descriptor->name();
  }
}

TEST(RequestMutator, KeepsToTheSizeAndTheSeed) {
  const std::string request = Serialize(TwoRows());
  for (const size_t max_size : {size_t{1}, size_t{8}, kMaxSize}) {
    for (int seed = 0; seed < 100; ++seed) {
      const std::string changed = MutateRequest(request, max_size, seed, FlipABit);
      EXPECT_LE(changed.size(), max_size);
      EXPECT_EQ(changed, MutateRequest(request, max_size, seed, FlipABit));
    }
  }
}

TEST(FuzzedRequest, IsReadBackAsItWasWritten) {
  for (int kind = 0; kind < kRequestKinds; ++kind) {
    for (const bool small : {false, true}) {
      const FuzzedRequest request{static_cast<RequestKind>(kind), 2, small, "message"};
      const FuzzedRequest back = ParseFuzzedRequest(Serialize(request));
      EXPECT_EQ(back.kind, request.kind);
      EXPECT_EQ(back.flow, request.flow);
      EXPECT_EQ(back.small_limits, small);
      EXPECT_EQ(back.message, request.message);
    }
  }
}

}  // namespace
}  // namespace glowworm
