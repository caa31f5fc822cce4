#include "cpu_ops.h"
#include "matrix_product.h"
#include "matrix_vector.h"

namespace cria::cpu {

namespace {

// The weights as the right matrix of a product: in a forward product [K, N], which is the
// transposed of how they are stored; in a backward one [N, K] as they are.
void multiply_by_weight(MatrixProduct product, Tensor output, Tensor left,
                        const LinearWeight& weight, LinearUse use) {
  CRIA_ASSERT(left.shape == Shape({product.m, product.k}));
  CRIA_ASSERT(output.shape == Shape({product.m, product.n}));
  CRIA_ASSERT(weight.values.dtype == left.dtype);
  CRIA_ASSERT(output.dtype == DType::f32 || output.dtype == left.dtype);
  if (product.m == 0) return;
  product.input = left.dtype;
  product.output = output.dtype;
  const Tensor& packed = use == LinearUse::forward ? weight.packed_forward : weight.packed_backward;
  if (packed) {
    product.right = Layout::packed;
    if (can_multiply_packed(product)) {
      return multiply(product, left.data, packed.data, output.data);
    }
  }
  product.right = use == LinearUse::forward ? Layout::transposed : Layout::row_major;
  multiply(product, left.data, weight.values.data, output.data);
}

}  // namespace

size_t linear_packed_bytes(Tensor values, LinearUse use) {
  const int64_t n = values.shape[0];
  const int64_t k = values.shape[1];
  return use == LinearUse::forward ? packed_right_bytes(k, n, values.dtype)
                                   : packed_right_bytes(n, k, values.dtype);
}

void linear_pack(const LinearPack& args) {
  CRIA_ASSERT(args.packed.bytes() >= linear_packed_bytes(args.values, args.use));
  const int64_t n = args.values.shape[0];
  const int64_t k = args.values.shape[1];
  if (args.use == LinearUse::forward) {
    pack_right(args.packed.data, args.values.data, Layout::transposed, k, n, args.values.dtype);
  } else {
    pack_right(args.packed.data, args.values.data, Layout::row_major, n, k, args.values.dtype);
  }
}

void linear_forward(const LinearForward& args) {
  const Shape& weight = args.weight.values.shape;
  const MatrixProduct product{
      .m = args.input.shape[0], .n = weight[0], .k = weight[1], .accumulate = args.accumulate};
  if (product.m == 1) {
    return multiply_by_vector(args.output, args.weight.values, args.input, args.accumulate);
  }
  multiply_by_weight(product, args.output, args.input, args.weight, LinearUse::forward);
}

void linear_backward_input(const LinearBackwardInput& args) {
  const Shape& weight = args.weight.values.shape;
  const MatrixProduct product{.m = args.output_gradient.shape[0],
                              .n = weight[1],
                              .k = weight[0],
                              .accumulate = args.accumulate};
  multiply_by_weight(product, args.input_gradient, args.output_gradient, args.weight,
                     LinearUse::backward);
}

void linear_backward_weight(const LinearBackwardWeight& args) {
  const MatrixProduct product{.m = args.output_gradient.shape[1],
                              .n = args.input.shape[1],
                              .k = args.input.shape[0],
                              .input = args.input.dtype,
                              .output = args.weight_gradient.dtype,
                              .left = Layout::transposed,
                              .accumulate = true};
  CRIA_ASSERT(args.output_gradient.shape[0] == product.k);
  CRIA_ASSERT(args.output_gradient.dtype == product.input);
  CRIA_ASSERT(args.weight_gradient.shape == Shape({product.m, product.n}));
  CRIA_ASSERT(product.output == DType::f32 || product.output == product.input);
  if (product.k == 0) return;
  multiply(product, args.output_gradient.data, args.input.data, args.weight_gradient.data);
}

}  // namespace cria::cpu
