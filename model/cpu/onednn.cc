// Implements model/cpu/onednn.h. oneDNN's exceptions stop here.

#include "model/cpu/onednn.h"

#include <algorithm>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

using dnnl::memory;

void AppendActivation(const Activation& activation, dnnl::post_ops* ops) {
  switch (activation.kind) {
    case ActivationKind::kRelu:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0.f, 0.f);
    case ActivationKind::kLeakyRelu:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_relu, static_cast<float>(activation.slope),
                                 0.f);
    case ActivationKind::kTanh:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_tanh, 0.f, 0.f);
    case ActivationKind::kElu:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_elu, 1.f, 0.f);
    case ActivationKind::kSilu:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_swish, 1.f, 0.f);
    case ActivationKind::kGelu:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_gelu_erf, 0.f, 0.f);
    case ActivationKind::kSigmoid:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_logistic, 0.f, 0.f);
    case ActivationKind::kSoftplus:
      return ops->append_eltwise(1.f, dnnl::algorithm::eltwise_soft_relu, 0.f, 0.f);
  }
}

}  // namespace

MatmulSet::MatmulSet() : engine_(dnnl::engine::kind::cpu, 0) {}

absl::StatusOr<int> MatmulSet::FindOrCreate(const MatmulShape& shape) {
  const Key key(shape.m, shape.k, shape.n, shape.activation ? static_cast<int>(shape.activation->kind) : -1,
                shape.activation ? shape.activation->slope : 0.0, shape.accumulate, shape.packed);
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  try {
    constexpr auto kF32 = memory::data_type::f32;
    using Tag = memory::format_tag;
    const memory::desc src({shape.m, shape.k}, kF32, Tag::ab);
    const memory::desc weights({shape.k, shape.n}, kF32, shape.packed ? Tag::any : Tag::ba);
    const memory::desc bias({1, shape.n}, kF32, Tag::ab);
    const memory::desc dst({shape.m, shape.n}, kF32, Tag::ab);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops ops;
    if (shape.accumulate) ops.append_sum(1.f);
    if (shape.activation) AppendActivation(*shape.activation, &ops);
    attr.set_post_ops(ops);
    const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(src, weights, bias, dst), attr, engine_);
    const std::string implementation = pd.impl_info_str();
    if (absl::StrContains(implementation, "ref")) {
      return absl::InternalError(absl::StrCat("oneDNN offers only '", implementation, "' for a product of ",
                                              shape.m, " x ", shape.k, " x ", shape.n));
    }
    entries_.push_back({dnnl::matmul(pd), pd.src_desc(), pd.weights_desc(), bias, pd.dst_desc(),
                        pd.scratchpad_desc(), absl::StartsWith(implementation, "brg")});
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN cannot make a product of ", shape.m, " x ", shape.k,
                                            " x ", shape.n, ": ", e.what()));
  }
  const int index = static_cast<int>(entries_.size()) - 1;
  index_[key] = index;
  return index;
}

MatmulRunner::MatmulRunner(const MatmulSet* set) : set_(set), stream_(set->engine_) {
  size_t bytes = 1;
  for (const auto& entry : set->entries_) bytes = std::max(bytes, entry.scratchpad.get_size());
  scratchpad_.resize(bytes + 64);
  auto* aligned =
      reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(scratchpad_.data()) + 63) / 64 * 64);
  bindings_.reserve(set->entries_.size());
  for (const auto& entry : set->entries_) {
    bindings_.push_back({memory(entry.src, set->engine_, nullptr), memory(entry.dst, set->engine_, nullptr),
                         memory(entry.scratchpad, set->engine_, aligned)});
  }
}

// Through the C interface: its C++ wrapper would build two containers a call.
void MatmulRunner::Run(int index, const float* src, const memory& weights, const memory& bias, float* dst) {
  const Binding& binding = bindings_[index];
  dnnl_memory_set_data_handle(binding.src.get(), const_cast<float*>(src));
  dnnl_memory_set_data_handle(binding.dst.get(), dst);
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, binding.src.get()},
                                  {DNNL_ARG_WEIGHTS, weights.get()},
                                  {DNNL_ARG_BIAS, bias.get()},
                                  {DNNL_ARG_DST, binding.dst.get()},
                                  {DNNL_ARG_SCRATCHPAD, binding.scratchpad.get()}};
  // Fails only for arguments that do not fit the primitive, which load has fixed.
  if (dnnl_primitive_execute(set_->entries_[index].primitive.get(), stream_.get(), 5, args) != dnnl_success) {
    std::abort();
  }
}

}  // namespace glowworm
