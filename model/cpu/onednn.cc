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
using Tag = memory::format_tag;
constexpr auto kF32 = memory::data_type::f32;

memory::data_type FactorType(const PrimitiveShape& shape) {
  return shape.type == ProductType::kBfloat16 ? memory::data_type::bf16 : kF32;
}

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

dnnl::primitive_attr Attributes(const PrimitiveShape& shape) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(
      dnnl::scratchpad_mode::user);  // concurrent runs of one primitive must not share it
  dnnl::post_ops ops;
  if (shape.accumulate) ops.append_sum(1.f);
  if (shape.activation) AppendActivation(*shape.activation, &ops);
  attr.set_post_ops(ops);
  return attr;
}

absl::Status OnlyReference(const std::string& name, const PrimitiveShape& shape) {
  return absl::UnimplementedError(absl::StrCat("oneDNN offers only '", name, "' for a product of ", shape.m,
                                               " x ", shape.in, " x ", shape.out));
}

}  // namespace

PrimitiveSet::PrimitiveSet(bool may_share, ProductType conditioner_type)
    : may_share_(may_share), conditioner_type_(conditioner_type), engine_(dnnl::engine::kind::cpu, 0) {
  // oneDNN's own cache would keep the primitives of flows that are gone; a set shares its own.
  dnnl::set_primitive_cache_capacity(0);
}

absl::StatusOr<int> PrimitiveSet::FindOrCreate(const PrimitiveShape& shape) {
  const Key key(shape.m, shape.in, shape.out, shape.window, shape.height, shape.width,
                shape.activation ? static_cast<int>(shape.activation->kind) : -1,
                shape.activation ? shape.activation->slope : 0.0, shape.accumulate, shape.packed, shape.type);
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  try {
    absl::StatusOr<Entry> entry = shape.window > 0 ? MakeConvolution(shape) : MakeProduct(shape);
    if (!entry.ok()) return entry.status();
    entries_.push_back(*std::move(entry));
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN cannot make a product of ", shape.m, " x ", shape.in,
                                            " x ", shape.out, ": ", e.what()));
  }
  const int index = static_cast<int>(entries_.size()) - 1;
  index_[key] = index;
  return index;
}

absl::StatusOr<PrimitiveSet::Entry> PrimitiveSet::MakeProduct(const PrimitiveShape& shape) const {
  const memory::desc src({shape.m, shape.in}, FactorType(shape), Tag::ab);
  const memory::desc weights({shape.in, shape.out}, FactorType(shape), shape.packed ? Tag::any : Tag::ba);
  const memory::desc bias({1, shape.out}, kF32, Tag::ab);
  const memory::desc dst({shape.m, shape.out}, kF32, Tag::ab);
  const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(src, weights, bias, dst), Attributes(shape),
                                        engine_);
  const std::string name = pd.impl_info_str();
  if (absl::StrContains(name, "ref")) return OnlyReference(name, shape);
  return Entry{dnnl::matmul(pd),
               src,
               pd.weights_desc(),
               bias,
               dst,
               pd.scratchpad_desc(),
               name,
               absl::StartsWith(name, "brg")};
}

absl::StatusOr<PrimitiveSet::Entry> PrimitiveSet::MakeConvolution(const PrimitiveShape& shape) const {
  const int64_t k = shape.window, half = k / 2;
  const memory::desc src({shape.m, shape.in, shape.height, shape.width}, FactorType(shape), Tag::nhwc);
  const memory::desc weights({shape.out, shape.in, k, k}, FactorType(shape),
                             shape.packed ? Tag::any : Tag::ohwi);
  const memory::desc bias({shape.out}, kF32, Tag::a);
  const memory::desc dst({shape.m, shape.out, shape.height, shape.width}, kF32, Tag::nhwc);
  const dnnl::convolution_forward::primitive_desc pd(
      dnnl::convolution_forward::desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                      src, weights, bias, dst, {1, 1}, {half, half}, {half, half}),
      Attributes(shape), engine_);
  const std::string name = pd.impl_info_str();
  if (absl::StrContains(name, "ref")) return OnlyReference(name, shape);
  return Entry{dnnl::convolution_forward(pd),
               src,
               pd.weights_desc(),
               bias,
               dst,
               pd.scratchpad_desc(),
               name,
               absl::StartsWith(name, "brg") || absl::StartsWith(name, "jit")};
}

PrimitiveRunner::PrimitiveRunner(const PrimitiveSet* set) : set_(set), stream_(set->engine_) {
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
void PrimitiveRunner::Run(int index, const void* src, const memory& weights, const memory& bias, float* dst) {
  const Binding& binding = bindings_[index];
  dnnl_memory_set_data_handle(binding.src.get(), const_cast<void*>(src));
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
