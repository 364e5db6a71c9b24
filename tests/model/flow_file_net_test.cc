// Tests of model/flow_file.h: what conditioner networks refuse. Each starts from a good flow and changes one
// thing.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// The net of the layer "coupling". Its ops: in RowFlow concat_context, dense, GELU, residual, dense; in
// ImageFlow conv, RELU, residual, SILU, conv.
class RowNet : public ::testing::Test {
 protected:
  json& Ops() { return draft_.json.at("layers").at(5).at("coupling").at("net").at("ops"); }
  std::string Op(int i) const { return absl::StrCat("/layers/5/coupling/net/ops/", i); }

  FlowDraft draft_ = FlowDraft::Of(RowFlow());
};
class ImageNet : public ::testing::Test {
 protected:
  json& Ops() { return draft_.json.at("layers").at(4).at("coupling").at("net").at("ops"); }
  std::string Op(int i) const { return absl::StrCat("/layers/4/coupling/net/ops/", i); }

  FlowDraft draft_ = FlowDraft::Of(ImageFlow());
};

std::vector<double> Ones(int64_t n) { return std::vector<double>(static_cast<size_t>(n), 1.0); }

TEST_F(RowNet, RefusesAnInputWidthThatDoesNotChain) {
  draft_.SetFloats(Op(1) + "/dense/weight", {5, 2}, Ones(10));  // without the context's two
  EXPECT_EQ(Refusal(draft_),
            "layer 'coupling' net.ops[1].dense: tensor 'coupling.net.1.weight' has shape [5, 2]; [1+, 4] is "
            "expected");
}

TEST_F(RowNet, RefusesAnOutputWidthThatIsNotTheCouplings) {
  draft_.SetFloats(Op(4) + "/dense/weight", {3, 5}, Ones(15));
  draft_.SetFloats(Op(4) + "/dense/bias", {3}, Ones(3));
  EXPECT_EQ(Refusal(draft_), "layer 'coupling' net: the net gives 3 channels; 4 are expected");
}

TEST_F(RowNet, RefusesTheOutputOfAnotherTransform) {
  draft_.json["layers"][5]["coupling"].erase("affine");
  draft_.Set("/layers/5/coupling/additive", json::object());
  EXPECT_EQ(Refusal(draft_), "layer 'coupling' net: the net gives 4 channels; 2 are expected");
}

TEST_F(RowNet, RefusesABiasOfAnotherWidth) {
  draft_.SetFloats(Op(1) + "/dense/bias", {4}, Ones(4));
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [4]; [5] is expected"));
}

TEST_F(RowNet, RefusesAnOutputOfNoChannels) {
  draft_.SetFloats(Op(1) + "/dense/weight", {0, 4}, {});
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [0, 4]; [1+, 4] is expected"));
}

TEST_F(RowNet, RefusesConvolutions) {
  Ops().push_back({{"conv", {{"weight", "w"}, {"pad", "ZERO"}}}});
  EXPECT_EQ(Refusal(draft_),
            "layer 'coupling' net.ops[5].conv: conv is for nets over images; this net reads rows");
}

TEST_F(RowNet, RefusesUnknownOps) {
  Ops().push_back({{"dropout", json::object()}});
  EXPECT_EQ(Refusal(draft_),
            "layer 'coupling' net.ops[5]: one of dense, conv, activation, residual, concat_context is "
            "expected; none "
            "is given");
  Ops().back() = {{"concat_context", json::object()}, {"activation", {{"kind", "RELU"}}}};
  EXPECT_THAT(Refusal(draft_), HasSubstr("both 'activation' and 'concat_context' are given"));
  Ops().back() = "dense";
  EXPECT_THAT(Refusal(draft_), HasSubstr("net.ops[5]: an object was expected"));
  Ops() = 1;
  EXPECT_THAT(Refusal(draft_), HasSubstr("field 'ops' is not an array"));
}

TEST_F(RowNet, RefusesMissingFields) {
  for (const char* field :
       {"/layers/5/coupling/net/ops", "/layers/5/coupling/net/ops/1/dense/weight",
        "/layers/5/coupling/net/ops/2/activation/kind", "/layers/5/coupling/net/ops/3/residual/body",
        "/layers/5/coupling/net/ops/3/residual/context_gate/weight",
        "/layers/5/coupling/net/ops/3/residual/context_gate/bias"}) {
    FlowDraft draft = draft_;
    draft.Remove(field);
    EXPECT_THAT(Refusal(draft), HasSubstr("is missing")) << field;
  }
}

TEST_F(RowNet, RefusesUnknownActivations) {
  draft_.Set(Op(2) + "/activation/kind", "SWISH");
  EXPECT_EQ(Refusal(draft_),
            "layer 'coupling' net.ops[2].activation: field 'kind' has the unknown value 'SWISH'");
}

TEST_F(RowNet, RefusesASlopeForOthersThanLeakyRelu) {
  draft_.Set(Op(2) + "/activation/slope", 0);
  EXPECT_THAT(Refusal(draft_), HasSubstr("field 'slope' is for LEAKY_RELU only"));
}

TEST_F(RowNet, RefusesLeakyReluWithoutASlope) {
  draft_.Remove(Op(3) + "/residual/body/ops/0/activation/slope");
  EXPECT_THAT(Refusal(draft_), HasSubstr("field 'slope' is missing"));
}

TEST_F(RowNet, RefusesAResidualThatChangesTheWidth) {
  draft_.SetFloats(Op(3) + "/residual/body/ops/1/dense/weight", {6, 5}, Ones(30));
  EXPECT_EQ(
      Refusal(draft_),
      "layer 'coupling' net.ops[3].residual: the body turns 5 channels into 6; it must keep their number");
}

TEST_F(RowNet, RefusesAContextGateOfAnotherShape) {
  draft_.SetFloats(Op(3) + "/residual/context_gate/weight", {5, 3}, Ones(15));
  EXPECT_THAT(Refusal(draft_), HasSubstr("residual.context_gate: tensor"));
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [5, 3]; [5, 2] is expected"));
}

TEST_F(RowNet, RefusesContextInAFlowWithoutIt) {
  draft_.Set("/context_size", 0);
  EXPECT_EQ(Refusal(draft_), "layer 'coupling' net.ops[0].concat_context: the flow takes no context");
  draft_.SetFloats(Op(1) + "/dense/weight", {5, 2}, Ones(10));
  Ops().erase(Ops().begin());
  EXPECT_EQ(Refusal(draft_), "layer 'coupling' net.ops[2].residual.context_gate: the flow takes no context");
}

TEST_F(RowNet, RefusesResidualsNestedTooDeeply) {
  const json activation = {{"activation", {{"kind", "RELU"}}}};
  json op = activation;
  for (int depth = 1; depth <= 8; ++depth) op = {{"residual", {{"body", {{"ops", {op}}}}}}};
  Ops().push_back(op);
  EXPECT_EQ(Refusal(draft_), "");
  Ops().back() = {{"residual", {{"body", {{"ops", {op}}}}}}};
  EXPECT_THAT(Refusal(draft_), HasSubstr("residuals nest deeper than 8"));
}

TEST_F(RowNet, RefusesNestingWithoutEnd) {
  std::string text = draft_.json.dump();
  const std::string gelu = R"({"activation":{"kind":"GELU"}})";
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += R"({"residual":{"body":{"ops":[)";
  text.replace(text.find(gelu), gelu.size(), deep);
  EXPECT_THAT(Refusal(draft_.BytesWith(text)), HasSubstr("glowworm.flow nests deeper than 64 levels"));
}

TEST_F(RowNet, RefusesTooManyOps) {
  Ops() = std::vector<json>(1025, {{"activation", {{"kind", "RELU"}}}});
  EXPECT_EQ(Refusal(draft_), "layer 'coupling' net: 1025 ops; at most 1024 are read");
}

TEST_F(RowNet, RefusesNetsThatAreTooWide) {
  draft_.Set("/context_size", 8192);
  for (int i = 0; i < 4; ++i) Ops().push_back({{"concat_context", json::object()}});
  draft_.SetFloats(Op(1) + "/dense/weight", {5, 8194}, Ones(5 * 8194));
  draft_.SetFloats(Op(3) + "/residual/context_gate/weight", {5, 8192}, Ones(5 * 8192));
  EXPECT_THAT(Refusal(draft_), HasSubstr("the net is 32772 channels wide; at most 32768 is read"));
}

TEST_F(RowNet, MayHaveNoOps) {
  // The identity channels themselves as the shift: as many as the transformed ones.
  FlowSpec spec = RowFlow();
  spec.layers.resize(1);
  spec.layers.push_back({"plain", Coupling{{0, 1}, {2, 3}, Net{}, AdditiveTransform{}}});
  spec.base = StandardNormal{};
  EXPECT_EQ(Refusal(FlowDraft::Of(spec)), "");
}

// --- Over images
// -----------------------------------------------------------------------------------------------------

TEST_F(ImageNet, RefusesDenseLayers) {
  Ops().push_back({{"dense", {{"weight", "w"}}}});
  EXPECT_EQ(Refusal(draft_),
            "layer 'coupling' net.ops[5].dense: dense is for nets over rows; this net reads an image");
}

TEST_F(ImageNet, RefusesConcatContext) {
  draft_.Set("/context_size", 2);
  Ops().push_back({{"concat_context", json::object()}});
  EXPECT_THAT(Refusal(draft_), HasSubstr("concat_context is for nets over rows; this net reads an image"));
}

TEST_F(ImageNet, TakesAContextGate) {
  draft_.Set("/context_size", 2);
  draft_.Set(Op(2) + "/residual/context_gate", {{"weight", "gate.weight"}, {"bias", "gate.bias"}});
  draft_.tensors["gate.weight"] = FloatTensor("gate.weight", {5, 2}, Ones(10));
  draft_.tensors["gate.bias"] = FloatTensor("gate.bias", {5}, Ones(5));
  EXPECT_EQ(Refusal(draft_), "");
}

TEST_F(ImageNet, WantsTheEdgeChannelInTheWeight) {
  draft_.Set(Op(0) + "/conv/pad", "ZERO");
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [5, 4, 3, 3]; [1+, 3, 1+, 1+] is expected"));
  draft_.Set(Op(0) + "/conv/pad", "EDGE_CHANNEL");
  draft_.Set(Op(4) + "/conv/pad", "EDGE_CHANNEL");
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [10, 5, 3, 3]; [1+, 6, 1+, 1+] is expected"));
}

TEST_F(ImageNet, RefusesUnknownPads) {
  draft_.Set(Op(0) + "/conv/pad", "REFLECT");
  EXPECT_THAT(Refusal(draft_), HasSubstr("field 'pad' has the unknown value 'REFLECT'"));
  draft_.Remove(Op(0) + "/conv/pad");
  EXPECT_THAT(Refusal(draft_), HasSubstr("field 'pad' is missing"));
}

TEST_F(ImageNet, RefusesKernelsThatAreNotOddSquares) {
  const std::pair<int, int> kernels[] = {{2, 2}, {3, 1}, {1, 3}, {33, 33}};
  for (const auto& [a, b] : kernels) {
    draft_.SetFloats(Op(0) + "/conv/weight", {5, 4, a, b}, Ones(20 * a * b));
    EXPECT_THAT(Refusal(draft_),
                HasSubstr(absl::StrCat("the kernel is ", a, " x ", b, "; k x k with an odd k")));
  }
  draft_.SetFloats(Op(0) + "/conv/weight", {5, 4, 31, 31}, Ones(20 * 31 * 31));
  EXPECT_EQ(Refusal(draft_), "");
}

TEST_F(ImageNet, RefusesABiasOfAnotherWidth) {
  draft_.SetFloats(Op(0) + "/conv/bias", {4}, Ones(4));
  EXPECT_THAT(Refusal(draft_), HasSubstr("has shape [4]; [5] is expected"));
}

}  // namespace
}  // namespace glowworm
