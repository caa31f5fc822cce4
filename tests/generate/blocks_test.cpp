// No block of the cache is lost or used twice: counted after every step over ten thousand random
// requests, and over random sequences that share beginnings.
#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include <gtest/gtest.h>

#include "cria/core/random.h"

#include "generate/engine.h"

namespace cria::testing {

namespace {

// The smallest model there is: only its blocks matter here.
ModelConfig tiny_config() {
  return {.vocab_size = 11,
          .hidden_size = 8,
          .intermediate_size = 8,
          .num_hidden_layers = 1,
          .num_attention_heads = 2,
          .num_key_value_heads = 1,
          .head_dim = 4,
          .max_position_embeddings = 40};
}

// Numbers below a bound, one after the other.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed, Purpose::data_synthesis) {}
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(bound), position_++));
  }

 private:
  Random random_;
  uint64_t position_ = 0;
};

// How many of `holders` have each block must be what the cache counts, and every block that none
// has must be free. Empty, or what is wrong.
std::string wrong_count(const KvCache& cache, const std::vector<std::vector<int32_t>>& holders) {
  std::vector<int32_t> counted(static_cast<size_t>(cache.block_count()), 0);
  for (const std::vector<int32_t>& blocks : holders) {
    for (const int32_t block : blocks) ++counted.at(static_cast<size_t>(block));
  }
  int64_t used = 0;
  for (int32_t block = 0; block < cache.block_count(); ++block) {
    const int32_t holding = counted[static_cast<size_t>(block)];
    used += holding > 0 ? 1 : 0;
    if (cache.owners(block) != holding) {
      return fmt::format("block {} has {} holders and counts {}", block, holding,
                         cache.owners(block));
    }
  }
  if (used + cache.free_blocks() == cache.block_count()) return {};
  return fmt::format("{} used, {} free, {} in all", used, cache.free_blocks(), cache.block_count());
}

struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

struct Tally {
  int64_t requests = 0;
  int64_t steps = 0;
  int64_t cut = 0;
  int64_t calls_ended = 0;
  int64_t calls_thrown = 0;
};

// One call with some requests, many of them samples of the same few prompts; sometimes the listener
// cuts an answer, ends the call or throws.
void random_call(Engine& engine, Dice& dice, Tally& tally) {
  Generator& generator = engine.generator();
  const KvCache& cache = generator.cache();
  const int64_t context = generator.max_context();
  std::vector<GenerationRequest> requests;
  for (int64_t left = 1 + dice.below(40); left > 0;) {
    const auto prompt =
        random_prompt(1 + dice.below(context - 1), 11, static_cast<uint64_t>(dice.below(3)));
    for (int64_t samples = std::min(left, 1 + dice.below(6)); samples > 0; --samples, --left) {
      requests.push_back({.prompt = prompt,
                          .example = static_cast<uint64_t>(tally.requests++),
                          .settings = {.max_new_tokens = 1 + dice.below(12)}});
    }
  }
  std::vector<int64_t> tokens(requests.size(), 0);
  std::string wrong;
  const auto listener = [&](const DrawnToken& token) {
    ++tally.steps;
    const auto holders = generator.blocks_in_use();
    if (wrong.empty()) wrong = wrong_count(cache, holders);
    for (size_t slot = 1; slot < holders.size(); ++slot) {
      const int32_t written = holders[slot].back();
      if (cache.owners(written) != 1 && wrong.empty()) {
        wrong = fmt::format("block {} was written to and has {} owners", written,
                            cache.owners(written));
      }
    }
    const auto held =
        static_cast<int64_t>(requests[token.request].prompt.size()) + ++tokens[token.request];
    if (held > context && wrong.empty()) wrong = "more tokens than the context";
    const int64_t chance = dice.below(1000);
    if (chance < 3) ++tally.calls_thrown;
    if (chance < 3) throw Interrupted();
    if (chance < 6) ++tally.calls_ended;
    if (chance < 6) return AfterToken::end_all;
    if (chance < 60) ++tally.cut;
    return chance < 60 ? AfterToken::end_answer : AfterToken::go_on;
  };
  try {
    generator.generate(requests, listener);
  } catch (const Interrupted&) {
  }
  ASSERT_EQ(wrong, "");
  ASSERT_EQ(wrong_count(cache, generator.blocks_in_use()), "") << "after the call";
}

class Blocks : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(KeepPrefix, Blocks, ::testing::Bool());

TEST_P(Blocks, TenThousandRandomRequestsLoseNone) {
  Engine engine(tiny_config(), {.slots = 5, .keep_prefix = GetParam()});
  const KvCache& cache = engine.generator().cache();
  Dice dice(GetParam() ? 1 : 2);
  Tally tally;
  while (tally.requests < 10000) {
    random_call(engine, dice, tally);
    if (HasFatalFailure()) return;
    if (!GetParam()) {
      ASSERT_EQ(cache.free_blocks(), cache.block_count());
    }
  }
  EXPECT_GT(tally.steps, 20000);
  EXPECT_GT(tally.cut, 1000);
  EXPECT_GT(tally.calls_ended, 50);
  EXPECT_GT(tally.calls_thrown, 50);
}

// The prompt's full blocks are there once, however many of its samples are under way and whichever
// came in when; what each sample adds is its own.
TEST(Blocks, SamplesOfAPromptShareItsCache) {
  Engine engine(tiny_config(), {.slots = 4});
  Generator& generator = engine.generator();
  const KvCache& cache = generator.cache();
  // All but the last token are kept: two full blocks of 8, and three tokens in a third.
  const std::vector<int32_t> prompt = random_prompt(20, 11, 0);
  std::vector<GenerationRequest> requests;
  for (uint64_t sample = 0; sample < 9; ++sample) {
    requests.push_back({.prompt = prompt,
                        .example = sample,
                        .settings = {.max_new_tokens = static_cast<int64_t>(2 + sample % 4)}});
  }
  std::vector<int32_t> shared;
  int64_t most_used = 0;
  generator.generate(requests, [&](const DrawnToken&) {
    const auto holders = generator.blocks_in_use();
    if (shared.empty()) shared.assign(holders[0].begin(), holders[0].begin() + 2);
    for (const std::vector<int32_t>& blocks : holders) {
      EXPECT_EQ(std::vector<int32_t>(blocks.begin(), blocks.begin() + 2), shared);
    }
    most_used = std::max(most_used, cache.block_count() - cache.free_blocks());
    return AfterToken::go_on;
  });
  // Two blocks for all, the kept prompt's third, and at most one of their own for four samples,
  // which end with 20 + 4 tokens in the cache.
  EXPECT_EQ(most_used, 2 + 1 + 4);
}

// Random sequences that grow, shrink, fork and go. A block's contents are marked with what was
// written there, so that one writer too many is seen.
TEST(CachedSequence, SharedBlocksAreCopiedBeforeTheyAreWritten) {
  const auto backend = make_backend("cpu");
  KvCache cache(tiny_config(), DType::f32, 60, 4);
  Arena arena(backend->memory());
  cache.reserve(arena);
  arena.allocate();
  const auto mark = [&](const CachedSequence& sequence, int64_t position) -> float& {
    const int32_t block = sequence.blocks()[static_cast<size_t>(position / 4)];
    return cache.keys(0).as<float>()[(block * 4 + position % 4) * 4];  // one head of 4 elements
  };

  Dice dice(3);
  std::vector<CachedSequence> sequences;
  int64_t forks = 0;
  for (int32_t step = 0; step < 10000; ++step) {
    const int64_t action = dice.below(8);
    const auto chosen = static_cast<size_t>(
        sequences.empty() ? 0 : dice.below(static_cast<int64_t>(sequences.size())));
    if (sequences.empty() || (action == 0 && sequences.size() < 6)) {
      sequences.emplace_back(cache);
    } else if (action == 1) {
      sequences.erase(sequences.begin() + static_cast<std::ptrdiff_t>(chosen));
    } else if (action <= 3 && sequences.size() < 6) {
      sequences.push_back(sequences[chosen].fork());
      ++forks;
    } else if (action == 4) {
      sequences[chosen].truncate(dice.below(sequences[chosen].length() + 1));
    } else {
      CachedSequence& sequence = sequences[chosen];
      const int64_t begin = sequence.length();
      std::vector<int32_t> ids(static_cast<size_t>(dice.below(std::min<int64_t>(7, 41 - begin))));
      for (int32_t& id : ids) id = static_cast<int32_t>(dice.below(1000000));
      sequence.append(*backend, ids);
      for (int64_t p = begin; p < sequence.length(); ++p) {
        mark(sequence, p) = static_cast<float>(sequence.ids()[static_cast<size_t>(p)]);
      }
    }
    std::vector<std::vector<int32_t>> holders;
    for (const CachedSequence& sequence : sequences) {
      holders.push_back(sequence.blocks());
      ASSERT_EQ(static_cast<int64_t>(sequence.blocks().size()),
                cache.blocks_for(sequence.length()));
      for (int64_t p = 0; p < sequence.length(); ++p) {
        ASSERT_EQ(mark(sequence, p), static_cast<float>(sequence.ids()[static_cast<size_t>(p)]))
            << "step " << step << ", position " << p;
      }
    }
    ASSERT_EQ(wrong_count(cache, holders), "") << "step " << step;
  }
  EXPECT_GT(forks, 500);
  sequences.clear();
  EXPECT_EQ(cache.free_blocks(), cache.block_count());
}

}  // namespace

}  // namespace cria::testing
