// Training of a SentencePiece model as Llama's was: BPE, identity normalisation, extra spaces kept,
// dummy prefix, digits split, byte fallback; unk 0, bos 1, eos 2, no pad. Same texts in the same
// order, same bytes. data/tokenizer_training.h feeds it files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cria {

struct BpeTraining {
  int32_t vocab_size = 32000;
  double character_coverage = 0.99995;  // rarer characters fall back to bytes
};

// Writes the next sentence (text without a newline) into its argument; false at the end.
using SentenceSource = std::function<bool(std::string&)>;

// The bytes of a tokenizer.model. `where` names the key that set the vocabulary size in errors: it
// is too large for the text, or too small for its characters and the 256 bytes.
std::string train_bpe(const BpeTraining& options, const SentenceSource& next_sentence,
                      const std::string& where);

}  // namespace cria
