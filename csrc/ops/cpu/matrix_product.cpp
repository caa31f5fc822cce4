#include "matrix_product.h"

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <vector>

#include "cria/core/parallel.h"

#include "attention_tiles.h"
#include "cpu_ops.h"

namespace cria::cpu {

namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

template <typename F>
decltype(auto) checked(const char* what, F&& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    throw failure("oneDNN", fmt::format("{}: {} (status {})", what, error.what(),
                                        static_cast<int>(error.status)));
  }
}

const dnnl::engine& engine() {
  static const dnnl::engine engine =
      checked("opening the CPU", [] { return dnnl::engine(dnnl::engine::kind::cpu, 0); });
  return engine;
}

Desc matrix(int64_t rows, int64_t columns, DType dtype, Tag tag) {
  return Desc({rows, columns},
              dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32,
              tag);
}

Tag tag_of(Layout layout) { return layout == Layout::transposed ? Tag::ba : Tag::ab; }

// oneDNN's reference implementations are plain loops, hundreds of times slower than the others.
bool is_fast(const dnnl::matmul::primitive_desc& description) {
  return description.get(true) != nullptr &&
         std::string_view(description.impl_info_str()).find("ref") == std::string_view::npos;
}

// oneDNN takes the first of its implementations that can do a product. For weight gradients, whose
// left matrix is transposed, that is behind its older gemm (2.6, AVX-512: in bf16 by 8 to 12%
// within a training step, in fp32 by 10% alone). With AMX it was not measured.
bool gemm_is_faster(const MatrixProduct& product) {
  return product.left == Layout::transposed && !has_tile_products();
}

// Empty where oneDNN has no such product.
dnnl::matmul::primitive_desc describe(const MatrixProduct& product, const Desc& left,
                                      const Desc& right, const Desc& output) {
  dnnl::primitive_attr attributes;
  if (product.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::desc wanted(left, right, output);
  dnnl::matmul::primitive_desc first(wanted, attributes, engine(), true);
  if (first.get(true) == nullptr || !gemm_is_faster(product)) return first;
  dnnl::matmul::primitive_desc other(wanted, attributes, engine());
  while (other.next_impl()) {
    if (std::string_view(other.impl_info_str()) == "gemm:jit") return other;
  }
  return first;
}

struct Plan {
  dnnl::matmul primitive;  // empty: oneDNN has none
  Desc left;
  Desc right;
  Desc output;
};

class Plans {
 public:
  // The product runs on the threads that there were when its plan was made, hence the count.
  const Plan& find(const MatrixProduct& product) {
    const std::lock_guard lock(mutex_);
    const auto [entry, is_new] = plans_.try_emplace({product, thread_count()});
    if (is_new) entry->second = make(product);
    return entry->second;
  }

  Desc packed(int64_t k, int64_t n, DType dtype) {
    const std::lock_guard lock(mutex_);
    return find_packed(k, n, dtype);
  }

 private:
  Plan make(const MatrixProduct& p) {
    return checked("planning a matrix product", [&] {
      Plan plan{.primitive = {},
                .left = matrix(p.m, p.k, p.input, tag_of(p.left)),
                .right = p.right == Layout::packed ? find_packed(p.k, p.n, p.input)
                                                   : matrix(p.k, p.n, p.input, tag_of(p.right)),
                .output = matrix(p.m, p.n, p.output, Tag::ab)};
      const dnnl::matmul::primitive_desc description =
          describe(p, plan.left, plan.right, plan.output);
      const bool has_fallback = p.input == DType::bf16 || p.right == Layout::packed;
      if (description.get(true) != nullptr && (is_fast(description) || !has_fallback)) {
        plan.primitive = dnnl::matmul(description);
      }
      return plan;
    });
  }

  // An empty Desc where a plain layout serves as well.
  const Desc& find_packed(int64_t k, int64_t n, DType dtype) {
    const auto [place, is_new] = packed_.try_emplace({k, n, dtype});
    Desc& packed = place->second;
    if (!is_new) return packed;
    constexpr int64_t kTypicalRows = 256;
    checked("choosing a packed layout", [&] {
      const dnnl::matmul::primitive_desc description(
          dnnl::matmul::desc(matrix(kTypicalRows, k, dtype, Tag::ab), matrix(k, n, dtype, Tag::any),
                             matrix(kTypicalRows, n, dtype, Tag::ab)),
          engine(), true);
      if (!is_fast(description)) return;
      const Desc chosen = description.weights_desc();
      if (chosen != matrix(k, n, dtype, Tag::ab) && chosen != matrix(k, n, dtype, Tag::ba)) {
        packed = chosen;
      }
    });
    return packed;
  }

  std::mutex mutex_;
  std::map<std::pair<MatrixProduct, int>, Plan> plans_;
  std::map<std::tuple<int64_t, int64_t, DType>, Desc> packed_;
};

Plans& plans() {
  static Plans plans;
  return plans;
}

dnnl::stream& stream() {
  static thread_local dnnl::stream stream(engine());
  return stream;
}

dnnl::memory view(const Desc& desc, const void* data) {
  return dnnl::memory(desc, engine(), const_cast<void*>(data));
}

// Whether a packed layout is that of bf16 products with AVX-512: blocks of 32 x 64 elements, each
// of 16 rows of 64 pairs, a pair being two elements of a column that follow each other.
bool has_paired_blocks(const Desc& packed) {
  const dnnl_blocking_desc_t& blocks = packed.data.format_desc.blocking;
  return packed.data.data_type == dnnl_bf16 && packed.data.format_kind == dnnl_blocked &&
         packed.data.offset0 == 0 && blocks.inner_nblks == 3 && blocks.inner_blks[0] == 16 &&
         blocks.inner_blks[1] == 64 && blocks.inner_blks[2] == 2 && blocks.inner_idxs[0] == 0 &&
         blocks.inner_idxs[1] == 1 && blocks.inner_idxs[2] == 0;
}

// Packs [K, N], given transposed, into paired blocks. A block is the transposed of 64 rows of the
// source, its pairs taken for fp32 elements: oneDNN's own reorder takes two to ten times as long.
// False: these rows cannot be read as vectors, and nothing was done.
bool pack_pairs(void* packed, const void* transposed, int64_t k, int64_t n, const Desc& layout) {
  using attention::Tile;
  constexpr int64_t kColumns = 64, kPairs = 16;  // of a block
  if (k % (2 * kPairs) != 0 || n % 16 != 0) return false;
  if (reinterpret_cast<uintptr_t>(transposed) % sizeof(attention::Vector) != 0) return false;
  const dnnl_blocking_desc_t& blocks = layout.data.format_desc.blocking;
  auto* target = static_cast<float*>(packed);
  auto* source = static_cast<float*>(const_cast<void*>(transposed));
  const int64_t stride = k / 2;
  parallel_for((n + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t column = begin; column < end; ++column) {
      const Tile rows = Tile{source, stride}.from_row(column * kColumns);
      const int64_t count = std::min(kColumns, n - column * kColumns);
      for (int64_t row = 0; row < stride / kPairs; ++row) {
        float* block = target + (column * blocks.strides[1] + row * blocks.strides[0]) / 2;
        if (count < kColumns) std::fill_n(block, kPairs * kColumns, 0.0f);
        attention::transpose(Tile{block, kColumns}, Tile{rows.data + row * kPairs, stride}, count,
                             kPairs);
      }
    }
  });
  return true;
}

void multiply_widened(MatrixProduct product, const void* left, const void* right, void* output) {
  static std::mutex mutex;
  static std::vector<float> scratch;
  const std::lock_guard lock(mutex);
  const int64_t left_size = product.m * product.k;
  const int64_t right_size = product.k * product.n;
  const int64_t output_size = product.m * product.n;
  const bool round = product.output == DType::bf16;
  const size_t needed = static_cast<size_t>(left_size + right_size + (round ? output_size : 0));
  if (scratch.size() < needed) scratch.resize(needed);

  const auto wide = [&](int64_t offset, int64_t size) {
    return host_tensor(scratch.data() + offset, {size});
  };
  const auto narrow = [](const void* data, int64_t size) {
    return host_tensor(static_cast<bf16*>(const_cast<void*>(data)), {size});
  };
  const Tensor wide_left = wide(0, left_size);
  const Tensor wide_right = wide(left_size, right_size);
  cast(wide_left, narrow(left, left_size));
  cast(wide_right, narrow(right, right_size));
  product.input = DType::f32;
  product.output = DType::f32;
  if (!round) return multiply(product, wide_left.data, wide_right.data, output);

  const Tensor wide_output = wide(left_size + right_size, output_size);
  if (product.accumulate) cast(wide_output, narrow(output, output_size));
  multiply(product, wide_left.data, wide_right.data, wide_output.data);
  cast(narrow(output, output_size), wide_output);
}

}  // namespace

void multiply(const MatrixProduct& product, const void* left, const void* right, void* output) {
  const Plan& plan = plans().find(product);
  if (!plan.primitive) {
    CRIA_ASSERT(product.input == DType::bf16 && product.right != Layout::packed);
    return multiply_widened(product, left, right, output);
  }
  checked("multiplying matrices", [&] {
    plan.primitive.execute(stream(), {{DNNL_ARG_SRC, view(plan.left, left)},
                                      {DNNL_ARG_WEIGHTS, view(plan.right, right)},
                                      {DNNL_ARG_DST, view(plan.output, output)}});
    stream().wait();
  });
}

bool has_tile_products() {
  // Values are sets of bits: newer instruction sets hold the older ones.
  constexpr auto kTiles = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kTiles) == kTiles;
}

size_t packed_right_bytes(int64_t k, int64_t n, DType dtype) {
  return plans().packed(k, n, dtype).get_size();
}

void pack_right(void* packed, const void* right, Layout layout, int64_t k, int64_t n, DType dtype) {
  const Desc chosen = plans().packed(k, n, dtype);
  if (layout == Layout::transposed && has_paired_blocks(chosen) &&
      pack_pairs(packed, right, k, n, chosen)) {
    return;
  }
  checked("packing a matrix", [&] {
    dnnl::memory source = view(matrix(k, n, dtype, tag_of(layout)), right);
    dnnl::memory destination = view(chosen, packed);
    dnnl::reorder(source, destination).execute(stream(), source, destination);
    stream().wait();
  });
}

bool can_multiply_packed(const MatrixProduct& product) {
  return bool(plans().find(product).primitive);
}

}  // namespace cria::cpu
