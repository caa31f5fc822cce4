#include <algorithm>
#include <cmath>
#include <numeric>

#include <omp.h>

#include "cria/core/random.h"

#include "ops/op_test.h"
#include "ops/reference_attention.h"

namespace cria::testing {

namespace {

// Sequences of given lengths whose keys and values are spread over the blocks of a cache. The
// qkv rows of all their tokens, one sequence after the other, define the contents.
struct CacheLayout {
  AttentionShape shape;
  int64_t block_size;
  std::vector<int32_t> tables;  // [sequences, max_blocks]
  int64_t max_blocks;
  int64_t block_count;

  // `order` selects which block holds what.
  CacheLayout(const AttentionShape& of, int64_t rows_per_block, uint64_t order)
      : shape(of),
        block_size(rows_per_block),
        max_blocks((of.max_sequence_length() + rows_per_block - 1) / rows_per_block),
        block_count(max_blocks * sequences() + 3) {
    std::vector<int32_t> blocks(block_count);
    std::iota(blocks.begin(), blocks.end(), 0);
    const Random random(order, Purpose::data_synthesis);
    for (int64_t i = block_count - 1; i > 0; --i) {
      std::swap(blocks[i], blocks[random.below(i + 1, i)]);
    }
    tables.assign(blocks.begin(), blocks.begin() + max_blocks * sequences());
  }

  int64_t sequences() const { return static_cast<int64_t>(shape.offsets.size()) - 1; }
  Shape cache_shape() const { return {block_count, shape.n_kv_heads, block_size, shape.head_dim}; }
  int64_t element(int64_t sequence, int64_t position, int64_t kv_head) const {
    const int64_t block = tables[sequence * max_blocks + position / block_size];
    return ((block * shape.n_kv_heads + kv_head) * block_size + position % block_size) *
           shape.head_dim;
  }
  // The cache with everything in its place; NaN elsewhere. `column` is where the first key or
  // value head starts in a row of qkv.
  std::vector<double> cache(const std::vector<double>& qkv, int64_t column) const {
    std::vector<double> result(cache_shape().elements(), std::nan(""));
    for (int64_t s = 0; s < sequences(); ++s) {
      for (int64_t row = shape.offsets[s]; row < shape.offsets[s + 1]; ++row) {
        for (int64_t head = 0; head < shape.n_kv_heads; ++head) {
          const auto from =
              qkv.begin() + row * shape.qkv_columns() + column + head * shape.head_dim;
          std::copy(from, from + shape.head_dim,
                    result.begin() + element(s, row - shape.offsets[s], head));
        }
      }
    }
    return result;
  }
};

// One row of a call: the token at `context` - 1 of a sequence, or an idle slot.
struct DecodeRow {
  int32_t sequence;
  int32_t context;
};
constexpr DecodeRow kIdle = {-1, 0};

class DecodeAttentionTest : public OpTest {
 public:
  std::vector<double> rows_of(const AttentionShape& shape, const std::vector<double>& qkv,
                              const std::vector<DecodeRow>& rows) {
    std::vector<double> result;
    for (const DecodeRow& row : rows) {
      if (row.context == 0) {
        result.insert(result.end(), shape.qkv_columns(), std::nan(""));
      } else {
        const auto from =
            qkv.begin() + (shape.offsets[row.sequence] + row.context - 1) * shape.qkv_columns();
        result.insert(result.end(), from, from + shape.qkv_columns());
      }
    }
    return result;
  }

  // [P, D]: cosines, then sines, of any angles, rounded to fp32.
  static std::vector<double> rope_table(int64_t positions, int64_t head_dim) {
    const auto angles = random_values(positions * head_dim / 2, 2);
    std::vector<double> table(static_cast<size_t>(positions * head_dim));
    for (size_t i = 0; i < angles.size(); ++i) {
      const size_t half = static_cast<size_t>(head_dim) / 2;
      const size_t at = i / half * 2 * half + i % half;
      table[at] = static_cast<float>(std::cos(3 * angles[i]));
      table[at + half] = static_cast<float>(std::sin(3 * angles[i]));
    }
    return table;
  }

  // Queries and keys turned by the angles of their positions in the table.
  static std::vector<double> turn_heads(const AttentionShape& shape, std::vector<double> qkv,
                                        const std::vector<double>& table) {
    const int64_t half = shape.head_dim / 2;
    for (size_t s = 0; s + 1 < shape.offsets.size(); ++s) {
      for (int64_t row = shape.offsets[s]; row < shape.offsets[s + 1]; ++row) {
        const double* cosine = table.data() + (row - shape.offsets[s]) * shape.head_dim;
        for (int64_t head = 0; head < shape.n_heads + shape.n_kv_heads; ++head) {
          double* x = qkv.data() + row * shape.qkv_columns() + head * shape.head_dim;
          for (int64_t i = 0; i < half; ++i) {
            const double x1 = x[i], x2 = x[half + i];
            x[i] = x1 * cosine[i] - x2 * cosine[half + i];
            x[half + i] = x2 * cosine[i] + x1 * cosine[half + i];
          }
        }
      }
    }
    return qkv;
  }

  static Shape output_shape(const AttentionShape& shape, const std::vector<DecodeRow>& rows) {
    return {static_cast<int64_t>(rows.size()), shape.output_columns()};
  }

  // One call on a filled cache.
  void decode(const DeviceTensor& output, const CacheLayout& layout, const std::vector<double>& qkv,
              const std::vector<DecodeRow>& rows) {
    const AttentionShape& shape = layout.shape;
    const auto count = static_cast<int64_t>(rows.size());
    std::vector<int32_t> sequences, contexts;
    for (const DecodeRow& row : rows) {
      sequences.push_back(row.sequence);
      contexts.push_back(row.context);
    }
    const DeviceTensor keys(*this, layout.cache_shape(), layout.cache(qkv, shape.key_column(0)));
    const DeviceTensor values(*this, layout.cache_shape(),
                              layout.cache(qkv, shape.value_column(0)));
    const DeviceTensor inputs(*this, {count, shape.qkv_columns()}, rows_of(shape, qkv, rows));
    const DeviceTensor tables(*this, {layout.sequences(), layout.max_blocks}, layout.tables);
    const DeviceTensor row_sequences(*this, {count}, sequences);
    const DeviceTensor context_lengths(*this, {count}, contexts);
    const Workspace workspace(*this, backend().decode_attention_workspace_bytes(
                                         count, shape.max_sequence_length(), shape.n_heads,
                                         static_cast<int>(shape.head_dim)));
    backend().decode_attention({.output = output.tensor(),
                                .qkv = inputs.tensor(),
                                .keys = keys.tensor(),
                                .values = values.tensor(),
                                .block_tables = tables.tensor(),
                                .row_sequences = row_sequences.tensor(),
                                .context_lengths = context_lengths.tensor(),
                                .n_heads = shape.n_heads,
                                .n_kv_heads = shape.n_kv_heads,
                                .scale = shape.scale(),
                                .workspace = workspace.tensor()});
  }

  // Row of the reference's output for each row of the call, in units of its magnitudes.
  void check(const CacheLayout& layout, const std::vector<double>& qkv,
             const std::vector<DecodeRow>& rows, const AttentionResult& reference) {
    const AttentionShape& shape = layout.shape;
    std::vector<double> expected, magnitudes;
    for (const DecodeRow& row : rows) {
      for (int64_t c = 0; c < shape.output_columns(); ++c) {
        const bool idle = row.context == 0;
        const int64_t from =
            idle ? 0 : (shape.offsets[row.sequence] + row.context - 1) * shape.output_columns() + c;
        expected.push_back(idle ? 0.0 : reference.output.values[from]);
        magnitudes.push_back(idle ? 1.0 : reference.output.magnitudes[from]);
      }
    }
    const DeviceTensor output(*this, output_shape(shape, rows));
    decode(output, layout, qkv, rows);
    expect_close(in_units(output.values(), magnitudes), in_units(expected, magnitudes),
                 tolerance("decode_attention", dtype()));
  }
};

CRIA_OP_TEST_SUITE(DecodeAttentionTest);

int64_t qkv_count(const AttentionShape& shape) { return shape.tokens() * shape.qkv_columns(); }

// Each sequence decodes its last token; groups of 1 to 8 heads, sequences around the cache's block
// and around 64 positions, idle slots between them.
TEST_P(DecodeAttentionTest, Forward) {
  const std::vector<int32_t> lengths = {1, 15, 16, 17, 64, 65, 300};
  std::vector<DecodeRow> rows = {kIdle};
  for (size_t s = 0; s < lengths.size(); ++s) {
    rows.push_back({static_cast<int32_t>(s), lengths[s]});
    if (s % 3 == 0) rows.push_back(kIdle);
  }
  for (const AttentionShape& shape :
       {attention_shape(2, 2, 48, lengths), attention_shape(4, 2, 64, lengths),
        attention_shape(4, 1, 18, lengths), attention_shape(3, 1, 10, lengths),
        attention_shape(5, 1, 80, lengths), attention_shape(8, 1, 2, lengths),
        attention_shape(14, 2, 22, lengths), attention_shape(6, 1, 128, lengths)}) {
    const auto qkv = random_values(qkv_count(shape), 1);
    const AttentionResult reference = reference_attention(shape, qkv);
    for (const int64_t block_size : {1, 5, 16, 64}) {
      SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim
                                        << ", blocks of " << block_size);
      check(CacheLayout(shape, block_size, 7), qkv, rows, reference);
    }
  }
}

// More query heads than one tile holds share one key head; one row, so that heads go one by one on
// some thread counts, and several.
TEST_P(DecodeAttentionTest, ManyHeadsOnOneKey) {
  const AttentionShape shape = attention_shape(70, 1, 8, {90, 20});
  const CacheLayout layout(shape, 16, 7);
  const auto qkv = random_values(qkv_count(shape), 1);
  const AttentionResult reference = reference_attention(shape, qkv);
  check(layout, qkv, {{0, 90}}, reference);
  check(layout, qkv, {{1, 19}, {0, 88}, {0, 89}, {0, 90}, {1, 20}}, reference);
}

// Contexts of several hundred positions, which a GPU cuts into splits: just under and over one, two
// and three of them. Heads are small, so that scores are off by 16 eps where the bound has room for
// 46, and longer sums may walk further.
TEST_P(DecodeAttentionTest, LongContexts) {
  const std::vector<int32_t> lengths = {255, 256, 257, 511, 513, 700, 768};
  std::vector<DecodeRow> rows;
  for (size_t s = 0; s < lengths.size(); ++s) rows.push_back({static_cast<int32_t>(s), lengths[s]});
  rows.push_back(kIdle);
  const AttentionShape shape = attention_shape(2, 1, 16, lengths);
  const auto qkv = random_values(qkv_count(shape), 1);
  check(CacheLayout(shape, 48, 7), qkv, rows, reference_attention(shape, qkv));
}

// Scores in the thousands, all exact in fp32, so that the parts of a context differ by factors that
// overflow; the largest score lies in any part, as there are many queries. Values are odd, so that
// no output is nothing but what the largest scores leave over.
TEST_P(DecodeAttentionTest, LongContextsOfLargeScores) {
  const AttentionShape shape = attention_shape(8, 1, 16, {512, 600, 520});
  const auto steps = random_integers(qkv_count(shape), -3, 4, 1);
  std::vector<double> qkv(steps.size());
  for (size_t i = 0; i < qkv.size(); ++i) {
    const bool is_value = static_cast<int64_t>(i) % shape.qkv_columns() >= shape.value_column(0);
    qkv[i] = is_value ? 2 * steps[i] + 1 : 16 * steps[i];
  }
  check(CacheLayout(shape, 16, 7), qkv, {{0, 512}, {1, 600}, {2, 520}},
        reference_attention(shape, qkv));
}

TEST_P(DecodeAttentionTest, LargeHeads) {
  const std::vector<int32_t> lengths = {70, 33};
  for (const AttentionShape& shape :
       {attention_shape(2, 2, 200, lengths), attention_shape(6, 1, 138, lengths)}) {
    const auto qkv = random_values(qkv_count(shape), 1);
    check(CacheLayout(shape, 16, 7), qkv, {{0, 70}, {1, 33}}, reference_attention(shape, qkv));
  }
}

// Prefill: all rows of a sequence in one call, against the reference and so against the packed op.
TEST_P(DecodeAttentionTest, Prefill) {
  const AttentionShape shape = attention_shape(4, 2, 16, {150, 40});
  std::vector<DecodeRow> rows;
  for (int32_t context = 1; context <= 150; ++context) rows.push_back({0, context});
  rows.push_back(kIdle);
  for (int32_t context = 1; context <= 40; ++context) rows.push_back({1, context});
  const auto qkv = random_values(qkv_count(shape), 1);
  check(CacheLayout(shape, 16, 7), qkv, rows, reference_attention(shape, qkv));
}

// Several rows of several sequences in one call, in runs of every length, cut by idle slots.
TEST_P(DecodeAttentionTest, ManyRuns) {
  const AttentionShape shape = attention_shape(4, 2, 24, {70, 300, 90});
  const std::vector<DecodeRow> rows = {
      {0, 70},  {1, 300}, {1, 299}, kIdle,    {2, 33},  {2, 34},  {2, 90},  kIdle,   kIdle,
      {1, 280}, {0, 12},  {0, 13},  {0, 14},  {0, 69},  {0, 70},  {2, 1},   {2, 2},  {1, 257},
      {1, 256}, {1, 255}, {1, 3},   {1, 120}, {1, 121}, {1, 122}, {1, 123}, {1, 124}};
  const auto qkv = random_values(qkv_count(shape), 1);
  check(CacheLayout(shape, 16, 7), qkv, rows, reference_attention(shape, qkv));
}

// What later rows of a prefill have put into the cache does not reach a row: the second half of the
// sequence is set to values that would show.
TEST_P(DecodeAttentionTest, RowsSeeOnlyTheirContext) {
  const AttentionShape shape = attention_shape(2, 1, 16, {60});
  std::vector<double> qkv = random_values(qkv_count(shape), 1);
  std::vector<DecodeRow> rows;
  for (int32_t context = 1; context <= 60; ++context) rows.push_back({0, context});
  const CacheLayout layout(shape, 16, 7);
  const DeviceTensor before(*this, output_shape(shape, rows));
  decode(before, layout, qkv, rows);
  std::fill(qkv.begin() + 31 * shape.qkv_columns(), qkv.end(), 1e6);
  const DeviceTensor after(*this, output_shape(shape, rows));
  decode(after, layout, qkv, rows);
  const auto first = before.bytes(), second = after.bytes();
  const auto end = static_cast<int64_t>(first.size()) / 60 * 31;
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + end, second.begin()));
  EXPECT_NE(first, second);
}

// A row's bits are the same wherever its blocks lie, whatever the cache's block size, alone or in a
// prefill, and on any number of threads.
TEST_P(DecodeAttentionTest, RowsAreIndependent) {
  const AttentionShape shape = attention_shape(8, 2, 20, {150, 131, 40});
  const auto qkv = random_values(qkv_count(shape), 1);
  const DecodeRow wanted = {1, 130};
  const auto bits = [&](const CacheLayout& layout, const std::vector<DecodeRow>& rows) {
    const DeviceTensor output(*this, output_shape(shape, rows));
    decode(output, layout, qkv, rows);
    const auto all = output.bytes();
    const auto size = static_cast<int64_t>(all.size() / rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].sequence != wanted.sequence || rows[i].context != wanted.context) continue;
      const auto begin = all.begin() + static_cast<int64_t>(i) * size;
      return std::vector<uint8_t>(begin, begin + size);
    }
    return std::vector<uint8_t>();
  };
  const CacheLayout layout(shape, 16, 7);
  const auto expected = bits(layout, {wanted});
  EXPECT_EQ(bits(layout, {{0, 150}, kIdle, wanted, {2, 40}}), expected);
  EXPECT_EQ(bits(CacheLayout(shape, 16, 8), {wanted}), expected);
  EXPECT_EQ(bits(CacheLayout(shape, 5, 9), {wanted, {0, 33}}), expected);
  std::vector<DecodeRow> prefill;
  for (int32_t context = 120; context <= 131; ++context) prefill.push_back({1, context});
  EXPECT_EQ(bits(layout, prefill), expected);
  std::reverse(prefill.begin(), prefill.end());
  EXPECT_EQ(bits(layout, prefill), expected);
  const int threads = omp_get_max_threads();
  for (const int count : {1, 2, 3, 5}) {
    omp_set_num_threads(count);
    EXPECT_EQ(bits(layout, {wanted}), expected) << count << " threads";
    EXPECT_EQ(bits(layout, {wanted, {2, 1}}), expected) << count << " threads";
  }
  omp_set_num_threads(threads);
}

class KvCacheWriteTest : public DecodeAttentionTest {
 public:
  void write_and_compare(const AttentionShape& shape);
};
CRIA_OP_TEST_SUITE(KvCacheWriteTest);

TEST_P(KvCacheWriteTest, TurnsQueriesAndKeys) {
  for (const int64_t head_dim : {2, 6, 16, 64, 126}) {
    for (const auto& [heads, kv_heads] : {std::pair(4, 2), {3, 3}, {5, 1}}) {
      SCOPED_TRACE(fmt::format("heads {}/{} D {}", heads, kv_heads, head_dim));
      write_and_compare(attention_shape(heads, kv_heads, head_dim, {35, 1, 16, 17}));
    }
  }
}

void KvCacheWriteTest::write_and_compare(const AttentionShape& shape) {
  const CacheLayout layout(shape, 8, 7);
  const auto qkv = random_values(qkv_count(shape), 1);
  const auto table = rope_table(shape.max_sequence_length(), shape.head_dim);
  const auto turned = turn_heads(shape, qkv, table);
  std::vector<int32_t> sequences, contexts;
  std::vector<double> rows, turned_rows;
  const auto add = [&](int32_t sequence, int32_t context) {
    sequences.push_back(sequence);
    contexts.push_back(context);
    for (const auto& [all, of] : {std::pair(&rows, &qkv), std::pair(&turned_rows, &turned)}) {
      const auto row = rows_of(shape, *of, {{sequence, context}});
      all->insert(all->end(), row.begin(), row.end());
    }
  };
  for (int32_t s = 0; s < layout.sequences(); ++s) {
    add(kIdle.sequence, kIdle.context);
    const int32_t length = shape.offsets[s + 1] - shape.offsets[s];
    for (int32_t context = 1; context <= length; ++context) add(s, context);
  }
  // What is not written keeps the poison of an output; cache() has NaN there as well.
  const DeviceTensor keys(*this, layout.cache_shape());
  const DeviceTensor values(*this, layout.cache_shape());
  const DeviceTensor inputs(*this, {static_cast<int64_t>(sequences.size()), shape.qkv_columns()},
                            rows);
  const DeviceTensor angles(*this, {shape.max_sequence_length(), shape.head_dim}, table,
                            DType::f32);
  const DeviceTensor tables(*this, {layout.sequences(), layout.max_blocks}, layout.tables);
  const DeviceTensor row_sequences(*this, {static_cast<int64_t>(sequences.size())}, sequences);
  const DeviceTensor context_lengths(*this, {static_cast<int64_t>(contexts.size())}, contexts);
  backend().kv_cache_write({.keys = keys.tensor(),
                            .values = values.tensor(),
                            .qkv = inputs.tensor(),
                            .rope_table = angles.tensor(),
                            .block_tables = tables.tensor(),
                            .row_sequences = row_sequences.tensor(),
                            .context_lengths = context_lengths.tensor(),
                            .n_heads = shape.n_heads,
                            .n_kv_heads = shape.n_kv_heads});
  const Tolerance rotation = tolerance("rope", dtype());
  const auto bound = [](const Tolerance& allowed, double expected) {
    return allowed.absolute + allowed.relative * std::abs(expected);
  };
  const auto expect_cache = [&](const DeviceTensor& cache, const std::vector<double>& of,
                                int64_t column, const Tolerance& allowed) {
    const auto actual = cache.values();
    const auto expected = layout.cache(of, column);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(actual[i])) << "element " << i << " was written";
      } else {
        ASSERT_LE(std::abs(actual[i] - expected[i]), bound(allowed, expected[i])) << i;
      }
    }
  };
  expect_cache(keys, turned, shape.key_column(0), rotation);
  expect_cache(values, qkv, shape.value_column(0), tolerance("copy", dtype()));
  // Queries are turned where they are; idle rows stay as they were.
  const auto left = inputs.values();
  for (size_t i = 0; i < left.size(); ++i) {
    if (static_cast<int64_t>(i) % shape.qkv_columns() >= shape.n_heads * shape.head_dim) continue;
    if (std::isnan(turned_rows[i])) {
      ASSERT_TRUE(std::isnan(left[i])) << i;
    } else {
      ASSERT_LE(std::abs(left[i] - turned_rows[i]), bound(rotation, turned_rows[i])) << i;
    }
  }
}

}  // namespace

}  // namespace cria::testing
