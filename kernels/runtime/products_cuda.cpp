// Row-major tensors seen by cuBLASLt, which counts in columns: output^T = right^T left^T, so the
// right operand comes first and every matrix keeps its memory.
#include <algorithm>
#include <compare>
#include <map>
#include <memory>

#include "kernels/runtime/check.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/products.h"

namespace cria::cuda {

namespace {

// What NVIDIA advises for Hopper; less would cost it its best kernels.
constexpr size_t kWorkspaceBytes = size_t{32} << 20;

// More does not help a kernel, and what every planned tensor has lets one plan serve all of them.
constexpr uint32_t kUsefulAlignment = 16;

// output[m, n] = left[m, k] * right[k, n] (+ output). What decides the plan, and with it the bits.
struct Product {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  DType input = DType::f32;
  DType output = DType::f32;
  bool left_transposed = false;   // stored as [k, m]
  bool right_transposed = false;  // stored as [n, k]
  bool accumulate = false;
  uint32_t left_alignment = 0;
  uint32_t right_alignment = 0;
  uint32_t output_alignment = 0;

  auto operator<=>(const Product&) const = default;
};

uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  return static_cast<uint32_t>(std::min<uintptr_t>(address & -address, kUsefulAlignment));
}

cudaDataType_t type_of(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Owns a descriptor of the library, which kDestroy takes back.
template <typename T, auto kDestroy>
struct Destroy {
  using pointer = T;
  void operator()(T handle) const { (cublaslt().*kDestroy)(handle); }
};
template <typename T, auto kDestroy>
using Handle = std::unique_ptr<T, Destroy<T, kDestroy>>;
using Operation = Handle<cublasLtMatmulDesc_t, &CublasLt::cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, &CublasLt::cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, &CublasLt::cublasLtMatmulPreferenceDestroy>;

// Of a row-major [rows, columns].
Layout make_layout(DType dtype, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  CRIA_CUBLAS(cublaslt().cublasLtMatrixLayoutCreate(&layout, type_of(dtype),
                                                    static_cast<uint64_t>(columns),
                                                    static_cast<uint64_t>(rows), columns));
  return Layout(layout);
}

// fp32 sums, and no TF32: fp32 models keep all their bits.
Operation make_operation(const Product& product) {
  cublasLtMatmulDesc_t operation = nullptr;
  CRIA_CUBLAS(cublaslt().cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  Operation owner(operation);
  const cublasOperation_t right = product.right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t left = product.left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  CRIA_CUBLAS(cublaslt().cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                        &right, sizeof right));
  CRIA_CUBLAS(cublaslt().cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB,
                                                        &left, sizeof left));
  return owner;
}

template <typename T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  CRIA_CUBLAS(cublaslt().cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value,
                                                              sizeof value));
}

// Parts of a sum over k may be added up in fp32 at the end, but not in the output's bf16, which
// would round more than once.
Preference make_preference(const Product& product) {
  cublasLtMatmulPreference_t handle = nullptr;
  CRIA_CUBLAS(cublaslt().cublasLtMatmulPreferenceCreate(&handle));
  Preference preference(handle);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, product.right_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, product.left_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, product.output_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, product.output_alignment);
  return preference;
}

struct Plan {
  Operation operation;
  Layout left, right, output;
  cublasLtMatmulAlgo_t algorithm;
};

// Plans are made at the first use of a shape and kept. The library's first choice is taken,
// unmeasured: for the same shape, version and GPU it is always the same, and so are the bits.
class Products {
 public:
  Products() {
    CRIA_CUBLAS(cublaslt().cublasLtCreate(&library_));
    CRIA_CUDA(cudaMalloc(&workspace_, kWorkspaceBytes));
  }

  void multiply(Product product, Tensor output, Tensor left, Tensor right, Stream queue) {
    CRIA_ASSERT(left.dtype == right.dtype);
    CRIA_ASSERT(output.dtype == DType::f32 || output.dtype == left.dtype);
    if (product.m == 0 || product.n == 0 || product.k == 0) return;
    product.input = left.dtype;
    product.output = output.dtype;
    product.left_alignment = alignment_of(left.data);
    product.right_alignment = alignment_of(right.data);
    product.output_alignment = alignment_of(output.data);
    const Plan& plan = plan_for(product);
    const float alpha = 1.0f;
    const float beta = product.accumulate ? 1.0f : 0.0f;
    CRIA_CUBLAS(cublaslt().cublasLtMatmul(
        library_, plan.operation.get(), &alpha, right.data, plan.right.get(), left.data,
        plan.left.get(), &beta, output.data, plan.output.get(), output.data, plan.output.get(),
        &plan.algorithm, workspace_, kWorkspaceBytes, queue));
  }

 private:
  const Plan& plan_for(const Product& product) {
    const auto found = plans_.find(product);
    return found != plans_.end() ? found->second
                                 : plans_.emplace(product, plan(product)).first->second;
  }

  Plan plan(const Product& p) const {
    Plan plan{
        .operation = make_operation(p),
        .left = p.left_transposed ? make_layout(p.input, p.k, p.m) : make_layout(p.input, p.m, p.k),
        .right =
            p.right_transposed ? make_layout(p.input, p.n, p.k) : make_layout(p.input, p.k, p.n),
        .output = make_layout(p.output, p.m, p.n),
        .algorithm = {}};
    const Preference preference = make_preference(p);
    cublasLtMatmulHeuristicResult_t result = {};
    int found = 0;
    const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoGetHeuristic(
        library_, plan.operation.get(), plan.right.get(), plan.left.get(), plan.output.get(),
        plan.output.get(), preference.get(), 1, &result, &found);
    if (status != CUBLAS_STATUS_SUCCESS || found == 0 || result.state != CUBLAS_STATUS_SUCCESS) {
      throw failure("cublasLtMatmulAlgoGetHeuristic",
                    fmt::format("no algorithm for [{}, {}] times [{}, {}], {} to {}: {}", p.m, p.k,
                                p.k, p.n, name_of(p.input), name_of(p.output),
                                cublaslt().cublasLtGetStatusString(status)),
                    "set CUBLASLT_LOG_LEVEL=2 to see what the library objects to");
    }
    plan.algorithm = result.algo;
    return plan;
  }

  cublasLtHandle_t library_ = nullptr;
  void* workspace_ = nullptr;  // of the one stream: products follow each other
  std::map<Product, Plan> plans_;
};

Products& products() {
  static Products& instance = *new Products;  // goes with the process: CUDA may be gone before
  return instance;
}

}  // namespace

void prepare_products() { products(); }

void linear_forward(const LinearForward& args, Stream stream) {
  const Shape& weight = args.weight.values.shape;
  const Product product{.m = args.input.shape[0],
                        .n = weight[0],
                        .k = weight[1],
                        .right_transposed = true,
                        .accumulate = args.accumulate};
  CRIA_ASSERT(args.input.shape[1] == product.k);
  CRIA_ASSERT(args.output.shape == Shape({product.m, product.n}));
  products().multiply(product, args.output, args.input, args.weight.values, stream);
}

void linear_backward_input(const LinearBackwardInput& args, Stream stream) {
  const Shape& weight = args.weight.values.shape;
  const Product product{.m = args.output_gradient.shape[0],
                        .n = weight[1],
                        .k = weight[0],
                        .accumulate = args.accumulate};
  CRIA_ASSERT(args.output_gradient.shape[1] == product.k);
  CRIA_ASSERT(args.input_gradient.shape == Shape({product.m, product.n}));
  products().multiply(product, args.input_gradient, args.output_gradient, args.weight.values,
                      stream);
}

void linear_backward_weight(const LinearBackwardWeight& args, Stream stream) {
  const Product product{.m = args.output_gradient.shape[1],
                        .n = args.input.shape[1],
                        .k = args.input.shape[0],
                        .left_transposed = true,
                        .accumulate = true};
  CRIA_ASSERT(args.output_gradient.shape[0] == product.k);
  CRIA_ASSERT(args.weight_gradient.shape == Shape({product.m, product.n}));
  products().multiply(product, args.weight_gradient, args.output_gradient, args.input, stream);
}

}  // namespace cria::cuda
