// Log-probabilities and rewards of sequences, packed into passes that all have the same number of
// tokens T, so that products always run at one shape: what a sequence scores does not depend on
// what is scored with it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cria/data/example.h"
#include "cria/model/heads.h"

namespace cria {

// A pack of exactly `tokens` tokens: as pack(), with further tails of at most 128 tokens. `tokens`
// is a multiple of 128 and no less than the sequences have.
PackedBatch pack_filled(std::span<const Example> sequences, int64_t tokens);

class Scorer {
 public:
  // Passes of batch_tokens tokens, rounded up to a multiple of 128. 0: what the model's longest
  // sequence needs, and 2,048 at least.
  Scorer(const Model& model, int64_t batch_tokens);

  void reserve(Arena& arena);

  // An input Error that names `where` when the sequence is longer than the model or a pass allows,
  // or has ids outside the vocabulary.
  void check(const Example& sequence, const std::string& where) const;

  // For each sequence, the log-probability of each of its tokens 2…T that has a label; 0 for the
  // others. Sequences must have passed check().
  std::vector<std::vector<float>> logprobs(std::span<const Example> sequences);

  // For each sequence, the score read at its last token.
  std::vector<float> rewards(std::span<const Example> sequences);

  int64_t batch_tokens() const { return batch_.max_tokens(); }

 private:
  // Which rows are read, kept by the last block. Of last tokens a pack has at most kLastTokens, so
  // that they too are always as many rows.
  enum class Read { all, last_tokens };
  static constexpr int64_t kLastTokens = 128;

  // Runs the transformer over pack after pack; visit(pack, index of its first sequence).
  template <typename Visit>
  void for_each_pack(std::span<const Example> sequences, Read read, const Visit& visit);

  const Model& model_;
  Activations activations_;
  DeviceBatch batch_;
  LanguageHead language_head_;
  ScoreHead score_head_;
};

}  // namespace cria
