#include "kernels/ragged_layout.h"

#include <numeric>

#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using cria::testing::in_every_order;

// As many places as sequences, more, and more than a block has threads.
TEST(RaggedLayout, FindsEverySequenceAndEmptyOnesBehind) {
  const std::vector<int32_t> lengths = {5, 0, 64, 1, 130, 0};
  for (const size_t places : {lengths.size(), size_t{8}, size_t{127}, size_t{128}, size_t{300}}) {
    std::vector<int32_t> offsets = {0};
    for (const int32_t length : lengths) offsets.push_back(offsets.back() + length);
    in_every_order([&] {
      constexpr int32_t kUntouched = -7;
      std::vector<int32_t> qkv(places + 2, kUntouched), output(qkv), heads(qkv), found(qkv);
      const auto tensor = [](std::vector<int32_t>& values, size_t size) {
        Tensor view = host_tensor(values.data(), {static_cast<int64_t>(size)});
        view.device = Device::emulated;
        return view;
      };
      ragged_layout({.qkv_offsets = tensor(qkv, places + 1),
                     .output_offsets = tensor(output, places + 1),
                     .head_offsets = tensor(heads, places + 1),
                     .lengths = tensor(found, places),
                     .sequence_offsets = tensor(offsets, offsets.size()),
                     .qkv_columns = 40,
                     .output_columns = 16,
                     .n_heads = 2},
                    {});
      for (size_t i = 0; i <= places; ++i) {
        const int32_t begin = offsets[std::min(i, lengths.size())];
        EXPECT_EQ(qkv[i], 40 * begin) << i;
        EXPECT_EQ(output[i], 16 * begin) << i;
        EXPECT_EQ(heads[i], 2 * begin) << i;
        if (i < places) {
          EXPECT_EQ(found[i], i < lengths.size() ? lengths[i] : 0) << i;
        }
      }
      for (const auto* list : {&qkv, &output, &heads}) EXPECT_EQ(list->back(), kUntouched);
      EXPECT_EQ(found[places], kUntouched);
    });
  }
}

}  // namespace

}  // namespace cria::emulated
