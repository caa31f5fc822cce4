#include "cria/model/kv_cache.h"

#include <set>

#include <gtest/gtest.h>

#include "generate/small_model.h"

namespace cria {
namespace {

TEST(KvCache, BlocksHaveOneOwnerUntilShared) {
  KvCache cache(testing::small_config(4, 2), DType::f32, 3, 8);
  const int32_t a = cache.allocate();
  const int32_t b = cache.allocate();
  const int32_t c = cache.allocate();
  EXPECT_EQ((std::set<int32_t>{a, b, c}), (std::set<int32_t>{0, 1, 2}));
  EXPECT_EQ(cache.free_blocks(), 0);

  cache.share(b);
  cache.release(b);
  EXPECT_EQ(cache.free_blocks(), 0) << "b has an owner left";
  cache.release(b);
  EXPECT_EQ(cache.free_blocks(), 1);
  EXPECT_EQ(cache.allocate(), b);
}

TEST(KvCache, CountsBlocksForTokens) {
  KvCache cache(testing::small_config(4, 2), DType::f32, 3, 8);
  EXPECT_EQ(cache.blocks_for(0), 0);
  EXPECT_EQ(cache.blocks_for(1), 1);
  EXPECT_EQ(cache.blocks_for(8), 1);
  EXPECT_EQ(cache.blocks_for(9), 2);
}

TEST(KvCache, CopiesABlockInEveryLayer) {
  const ModelConfig config = testing::small_config(4, 2);
  const auto backend = make_backend("cpu");
  KvCache cache(config, DType::f32, 4, 8);
  Arena arena(backend->memory());
  cache.reserve(arena);
  arena.allocate();
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const Tensor& tensor : {cache.keys(layer), cache.values(layer)}) {
      for (int64_t i = 0; i < tensor.size(); ++i) {
        tensor.as<float>()[i] = static_cast<float>(i + 10000 * layer);
      }
    }
  }
  cache.copy(*backend, 3, 1);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const Tensor& tensor : {cache.keys(layer), cache.values(layer)}) {
      const int64_t block = tensor.size() / 4;
      for (int64_t i = 0; i < tensor.size(); ++i) {
        const int64_t from = i >= 3 * block ? i - 2 * block : i;
        ASSERT_EQ(tensor.as<float>()[i], static_cast<float>(from + 10000 * layer));
      }
    }
  }
}

}  // namespace
}  // namespace cria
