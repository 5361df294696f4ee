// A device that is no CPU, for tests of where tensors are made and moved.
//
// Its memory is ordinary memory and its arithmetic that of the CPU, so that results are the same to
// the last bit. But its tensors say that they lie elsewhere, and a call that mixes them with tensors
// of the CPU fails, as it does with a graphics card.

#include <ATen/EmptyTensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <ATen/ops/view_cpu_dispatch.h>
#include <ATen/ops/_reshape_alias_cpu_dispatch.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/unfold_cpu_dispatch.h>
#include <ATen/ATen.h>
#include <torch/library.h>
#include <cstdlib>
#include <cstring>

namespace {

constexpr auto kKey = c10::DispatchKey::PrivateUse1;

// Memory of its own kind: ordinary memory that tensors call another device.
struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? std::malloc(bytes) : nullptr;
    return {data, data, &std::free, c10::Device(c10::DeviceType::PrivateUse1, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};
Memory memory;

at::Tensor empty(
    c10::IntArrayRef size, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
    std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(
      size, &memory, c10::DispatchKeySet(kKey), c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(
    c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<c10::ScalarType> dtype,
    std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      size, stride, &memory, c10::DispatchKeySet(kKey), c10::dtype_or_default(dtype));
}

// The same memory seen as a tensor of the CPU.
at::Tensor on_cpu(const at::Tensor& tensor) {
  auto* storage = tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
  auto data = c10::DataPtr(storage->mutable_data(), c10::Device(c10::kCPU));
  auto view = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), storage->nbytes(), std::move(data)),
      c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(
      tensor.sizes(), tensor.strides(), tensor.storage_offset());
  return view;
}

at::Tensor seen(const at::Tensor& tensor) { return tensor.is_cpu() ? tensor : on_cpu(tensor); }

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  seen(to).copy_(seen(from));
  return to;
}

at::Tensor copy_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}

const at::Tensor& resize_(
    const at::Tensor& self, c10::SymIntArrayRef size, std::optional<c10::MemoryFormat>) {
  auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(sizes);
  size_t bytes = (impl->storage_offset() + impl->numel()) * impl->itemsize();
  auto* storage = impl->unsafe_storage().unsafeGetStorageImpl();
  if (storage->nbytes() < bytes) {
    auto fresh = memory.allocate(bytes);
    std::memcpy(fresh.mutable_get(), storage->data(), storage->nbytes());
    storage->set_data_ptr_noswap(std::move(fresh));
    storage->set_nbytes(bytes);
  }
  return self;
}

// Views are a matter of sizes and strides; the CPU's own functions make them of any memory.
at::Tensor as_strided(
    const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride,
    std::optional<int64_t> offset) {
  return at::cpu::as_strided(self, size, stride, offset);
}

at::Tensor view(const at::Tensor& self, c10::IntArrayRef size) {
  return at::cpu::view(self, size);
}

at::Tensor reshape_alias(
    const at::Tensor& self, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::cpu::_reshape_alias(self, size, stride);
}

at::Tensor unfold(const at::Tensor& self, int64_t dim, int64_t size, int64_t step) {
  return at::cpu::unfold(self, dim, size, step);
}

at::Tensor& set_(
    at::Tensor& self, at::Storage source, int64_t offset, c10::IntArrayRef size,
    c10::IntArrayRef stride) {
  return at::cpu::set_(self, source, offset, size, stride);
}

at::Scalar item(const at::Tensor& self) { return on_cpu(self).item(); }

at::Tensor convolution(
    const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
    c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
    bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  bool has_bias = bias.has_value() && bias->defined();
  TORCH_CHECK(
      !input.is_cpu() && !weight.is_cpu() && !(has_bias && bias->is_cpu()),
      "Expected all tensors to be on the same device, but found at least two devices, pretend:0 "
      "and cpu, in a convolution");
  auto out = at::convolution_symint(
      on_cpu(input), on_cpu(weight), has_bias ? std::optional(on_cpu(*bias)) : std::nullopt, stride,
      padding, dilation, transposed, output_padding, groups);
  return out.to(input.device());
}

// One step of an LSTM from the two sums that go into its gates, as torch asks of a device.
std::tuple<at::Tensor, at::Tensor, at::Tensor> lstm_cell(
    const at::Tensor& of_input, const at::Tensor& of_state, const at::Tensor& cell,
    const std::optional<at::Tensor>& input_bias, const std::optional<at::Tensor>& state_bias) {
  auto sum = of_input + of_state;
  for (const auto& bias : {input_bias, state_bias})
    if (bias.has_value() && bias->defined()) sum = sum + *bias;
  auto gates = sum.chunk(4, 1);
  auto next = gates[1].sigmoid() * cell + gates[0].sigmoid() * gates[2].tanh();
  return {gates[3].sigmoid() * next.tanh(), next, sum};
}

// Numbers may come from the CPU, and so may indices; whole tensors may not.
void refuse_mixtures(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const auto& name = op.schema().operator_name().name;
  if (name.rfind("aten::index", 0) == 0 || name.rfind("aten::_index", 0) == 0) return;
  bool here = false, elsewhere = false;
  auto look = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    (tensor.is_cpu() ? here : elsewhere) |= !tensor.is_cpu() || tensor.dim() > 0;
  };
  for (const auto& value : stack) {
    if (value.isTensor()) look(value.toTensor());
    if (value.isTensorList()) for (const at::Tensor& tensor : value.toTensorVector()) look(tensor);
  }
  TORCH_CHECK(
      !(here && elsewhere),
      "Expected all tensors to be on the same device, but found at least two devices, pretend:0 "
      "and cpu, in ", name);
}

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  auto arguments = torch::jit::last(*stack, op.schema().arguments().size());
  refuse_mixtures(op, torch::jit::Stack(arguments.begin(), arguments.end()));
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  c10::SetAllocator(c10::DeviceType::PrivateUse1, &memory);
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_and_resize);
  m.impl("resize_", &resize_);
  m.impl("_local_scalar_dense", &item);
  m.impl("as_strided", &as_strided);
  m.impl("view", &view);
  m.impl("unfold", &unfold);
  m.impl("_thnn_fused_lstm_cell", &lstm_cell);
  m.impl("convolution_overrideable", &convolution);
  m.impl("_reshape_alias", &reshape_alias);
  m.impl("set_.source_Storage_storage_offset", &set_);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}
