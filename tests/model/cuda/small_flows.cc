// Implements tests/model/cuda/small_flows.h; used by failure_test.cc and concurrency_test.cc.

#include "tests/model/cuda/small_flows.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/testing/random_flow.h"

namespace glowworm::cuda {
namespace {

SmallFlow Compiled(std::string name, FlowSpec spec) {
  absl::StatusOr<Plan> plan = Compile(spec, 1e6);
  if (!plan.ok()) {
    std::fprintf(stderr, "%s\n", plan.status().ToString().c_str());
    std::abort();
  }
  return {std::move(name), std::move(spec), *std::move(plan)};
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

}  // namespace

std::vector<SmallFlow> SmallFlows() {
  NetOptions net;
  net.hidden = 4;
  RandomNumbers random(1);
  std::vector<SmallFlow> flows;

  CouplingOptions affine;
  affine.net = net;
  RandomFlow row(1, RowShape(4), /*context_size=*/2, /*num_classes=*/2);
  row.AddAffine(true).AddPlu(Side::kOutput, true, true).AddCoupling(affine).AddPermutation();
  flows.push_back(Compiled("row", row.Finish(BaseKind::kClass)));

  CouplingOptions spline = affine;
  spline.spline = AnySpline(random);
  RandomFlow image(2, ImageShape(1, 4, 4));
  image.AddByteLogit().AddSqueeze(SqueezeOrder::kChannelMajor).AddCoupling(spline);
  image.AddSplit(Half::kSecond, BaseKind::kNet, net).AddAdditiveCoupling(net, AnySpline(random));
  flows.push_back(Compiled("image", image.Finish(BaseKind::kDiagElement)));

  AutoregressiveOptions autoregressive;
  autoregressive.net = net;
  RandomFlow steps(3, RowShape(3), /*context_size=*/1);
  steps.AddAutoregressive(autoregressive);
  autoregressive.parallel = ParallelDirection::kInverse;
  autoregressive.spline = AnySpline(random);
  steps.AddAutoregressive(autoregressive);
  flows.push_back(Compiled("steps", steps.Finish(BaseKind::kStandard)));
  return flows;
}

std::vector<SmallFlow> FlowsOfEveryKernel() {
  std::vector<SmallFlow> flows = SmallFlows();
  RandomNumbers random(2);
  NetOptions net;
  net.hidden = 5;
  net.residual = net.gate = net.concat = true;

  CouplingOptions gated;
  gated.net = net;
  gated.identity_spline = AnySpline(random);
  RandomFlow row(4, RowShape(5), /*context_size=*/2);
  row.AddCoupling(gated);
  gated.net.gate = gated.net.concat = false;  // a sum without a gate
  gated.net.activation = ActivationKind::kGelu;
  row.AddCoupling(gated).AddAdditiveCoupling(net);
  flows.push_back(Compiled("gated", row.Finish(BaseKind::kDiagChannel)));

  AutoregressiveOptions autoregressive;
  autoregressive.net = net;
  RandomFlow steps(5, RowShape(3), /*context_size=*/2);
  steps.AddAutoregressive(autoregressive);
  flows.push_back(Compiled("gated_steps", steps.Finish(BaseKind::kStandard)));
  return flows;
}

const char* CallName(Call call) {
  return call == Call::kEncode ? "Encode" : call == Call::kDecode ? "Decode" : "Sample";
}

ExecutorAnswer Answer(const Executor& executor, const SmallFlow& flow, Call call, uint64_t seed,
                      int64_t rows) {
  if (call == Call::kEncode) return Encode(executor, RandomRows(flow.spec, seed, rows));
  const FlowRows latents = RandomLatents(flow.spec, seed, rows);
  if (call == Call::kDecode) return Decode(executor, latents);
  return Sample(executor, flow.spec.event.size(), rows, /*first=*/seed, latents.context);
}

bool SameAnswer(const ExecutorAnswer& a, const ExecutorAnswer& b) {
  return a.computed == b.computed && SameBits(a.numbers, b.numbers) &&
         SameBits(a.log_likelihood, b.log_likelihood) && a.status == b.status;
}

}  // namespace glowworm::cuda
