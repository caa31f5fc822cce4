// Row-major tensors seen by cuBLASLt, which counts in columns: output^T = right^T left^T, so the
// right operand comes first and every matrix keeps its memory.
//
// Which of the library's algorithms runs a product, a search decides: its proposals for the shape
// run a few times each, and the fastest is kept on disk (algorithm_file.h). CRIA_PRODUCT_SEARCH=off
// takes the first proposal, unmeasured.
#include <algorithm>
#include <array>
#include <compare>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/runtime/algorithm_file.h"
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

struct Operands {
  const void* left;
  const void* right;
  void* output;
};

struct Plan {
  Operation operation;
  Layout left, right, output;
  cublasLtMatmulAlgo_t algorithm;
};

// The words of a product in the file of algorithms.
std::string key_of(const Product& p) {
  return fmt::format("{}x{}x{}-{}-{}-{}{}-{}-align{}-{}-{}", p.m, p.n, p.k, name_of(p.input),
                     name_of(p.output), p.left_transposed ? 't' : 'n',
                     p.right_transposed ? 't' : 'n', p.accumulate ? "add" : "set", p.left_alignment,
                     p.right_alignment, p.output_alignment);
}

std::string name_of_library_and_gpu() {
  int device = 0;
  cudaDeviceProp properties = {};
  CRIA_CUDA(cudaGetDevice(&device));
  CRIA_CUDA(cudaGetDeviceProperties(&properties, device));
  return fmt::format("{}-cublaslt-{}", properties.name, cublaslt().cublasLtGetVersion());
}

bool search_is_wanted() {
  const char* value = std::getenv("CRIA_PRODUCT_SEARCH");
  if (!value || !*value || std::strcmp(value, "on") == 0) return true;
  if (std::strcmp(value, "off") == 0) return false;
  throw input_error("CRIA_PRODUCT_SEARCH", fmt::format("'{}'", value), "set it to on or off");
}

// Milliseconds between two points of a stream.
class Stopwatch {
 public:
  Stopwatch() {
    for (cudaEvent_t& event : events_) CRIA_CUDA(cudaEventCreate(&event));
  }
  ~Stopwatch() {
    for (const cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  Stopwatch(const Stopwatch&) = delete;
  void start(Stream queue) { CRIA_CUDA(cudaEventRecord(events_[0], queue)); }
  float stop(Stream queue) {
    CRIA_CUDA(cudaEventRecord(events_[1], queue));
    CRIA_CUDA(cudaEventSynchronize(events_[1]));
    float milliseconds = 0;
    CRIA_CUDA(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]));
    return milliseconds;
  }

 private:
  std::array<cudaEvent_t, 2> events_ = {};
};

// Memory for a while; none where the GPU has no more.
struct Scratch {
  void* data = nullptr;

  explicit Scratch(size_t bytes) {
    if (cudaMalloc(&data, bytes) == cudaSuccess) return;
    cudaGetLastError();
    data = nullptr;
  }
  ~Scratch() { cudaFree(data); }
  Scratch(const Scratch&) = delete;
};

// Plans are made at the first use of a shape and kept.
class Products {
 public:
  Products() : searches_(search_is_wanted()) {
    CRIA_CUBLAS(cublaslt().cublasLtCreate(&library_));
    CRIA_CUDA(cudaMalloc(&workspace_, kWorkspaceBytes));
    if (searches_) file_.emplace(cache_directory(), name_of_library_and_gpu());
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
    const Operands operands{left.data, right.data, output.data};
    const auto found = plans_.find(product);
    const Plan& plan =
        found != plans_.end()
            ? found->second
            : plans_.emplace(product, make_plan(product, operands, queue)).first->second;
    CRIA_CUBLAS(run(plan, product, operands, plan.algorithm, queue));
  }

 private:
  static constexpr int kProposals = 16;
  static constexpr int kRounds = 5;  // in which all proposals take turns
  static constexpr int kRuns = 3;    // of a turn

  cublasStatus_t run(const Plan& plan, const Product& product, const Operands& operands,
                     const cublasLtMatmulAlgo_t& algorithm, Stream queue) const {
    const float alpha = 1.0f;
    const float beta = product.accumulate ? 1.0f : 0.0f;
    return cublaslt().cublasLtMatmul(
        library_, plan.operation.get(), &alpha, operands.right, plan.right.get(), operands.left,
        plan.left.get(), &beta, operands.output, plan.output.get(), operands.output,
        plan.output.get(), &algorithm, workspace_, kWorkspaceBytes, queue);
  }

  Plan make_plan(const Product& p, const Operands& operands, Stream queue) {
    Plan plan{
        .operation = make_operation(p),
        .left = p.left_transposed ? make_layout(p.input, p.k, p.m) : make_layout(p.input, p.m, p.k),
        .right =
            p.right_transposed ? make_layout(p.input, p.n, p.k) : make_layout(p.input, p.k, p.n),
        .output = make_layout(p.output, p.m, p.n),
        .algorithm = {}};
    const auto proposals = propose(p, plan);
    plan.algorithm = proposals.front();
    if (!searches_) return plan;
    // Products are tried on the operands at hand, but an output that is added to must stay as it
    // is.
    const Scratch scratch(static_cast<size_t>(p.m * p.n) * size_of(p.output));
    if (!scratch.data) return plan;
    const auto kept = file_->find(key_of(p), [&] {
      const Operands trial{operands.left, operands.right, scratch.data};
      return std::to_array(fastest(proposals, plan, p, trial, queue).data);
    });
    if (kept) plan.algorithm = checked(*kept, plan);
    return plan;
  }

  // What the library's heuristic has for the product, its best guess first.
  std::vector<cublasLtMatmulAlgo_t> propose(const Product& p, const Plan& plan) const {
    const Preference preference = make_preference(p);
    std::array<cublasLtMatmulHeuristicResult_t, kProposals> results = {};
    int found = 0;
    const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoGetHeuristic(
        library_, plan.operation.get(), plan.right.get(), plan.left.get(), plan.output.get(),
        plan.output.get(), preference.get(), kProposals, results.data(), &found);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < found; ++i) {
      const auto& result = results[static_cast<size_t>(i)];
      if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(result.algo);
    }
    if (algorithms.empty()) {
      throw failure("cublasLtMatmulAlgoGetHeuristic",
                    fmt::format("no algorithm for [{}, {}] times [{}, {}], {} to {}: {}", p.m, p.k,
                                p.k, p.n, name_of(p.input), name_of(p.output),
                                cublaslt().cublasLtGetStatusString(status)),
                    "set CUBLASLT_LOG_LEVEL=2 to see what the library objects to");
    }
    return algorithms;
  }

  // By the shortest of their turns; the first of equals.
  cublasLtMatmulAlgo_t fastest(const std::vector<cublasLtMatmulAlgo_t>& proposals, const Plan& plan,
                               const Product& product, const Operands& operands,
                               Stream queue) const {
    constexpr float kCannotRun = std::numeric_limits<float>::infinity();
    std::vector<float> times(proposals.size(), kCannotRun);
    Stopwatch stopwatch;
    for (int round = -1; round < kRounds; ++round) {  // before the first, one to warm up
      for (size_t i = 0; i < proposals.size(); ++i) {
        if (round >= 0 && times[i] == kCannotRun) continue;
        stopwatch.start(queue);
        bool ran = true;
        for (int turn = 0; ran && turn < kRuns; ++turn) {
          ran = run(plan, product, operands, proposals[i], queue) == CUBLAS_STATUS_SUCCESS;
        }
        const float time = stopwatch.stop(queue);
        if (!ran) {
          times[i] = kCannotRun;
        } else if (round <= 0) {
          times[i] = time;
        } else {
          times[i] = std::min(times[i], time);
        }
      }
    }
    const auto best = std::min_element(times.begin(), times.end());
    return proposals[static_cast<size_t>(best - times.begin())];
  }

  cublasLtMatmulAlgo_t checked(const AlgorithmFile::Algorithm& words, const Plan& plan) const {
    cublasLtMatmulAlgo_t algorithm = {};
    std::copy(words.begin(), words.end(), algorithm.data);
    cublasLtMatmulHeuristicResult_t result = {};
    if (cublaslt().cublasLtMatmulAlgoCheck(library_, plan.operation.get(), plan.right.get(),
                                           plan.left.get(), plan.output.get(), plan.output.get(),
                                           &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
        result.workspaceSize <= kWorkspaceBytes) {
      return algorithm;
    }
    throw input_error(file_->path(), "cuBLASLt does not take an algorithm that is kept there",
                      "delete the file: algorithms will be searched for again");
  }

  const bool searches_;
  std::optional<AlgorithmFile> file_;
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
