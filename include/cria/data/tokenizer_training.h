// `cria tokenizer train`: from data files to a tokenizer.model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cria {

struct TokenizerTraining {
  std::vector<std::string> files;  // .txt, .txt.gz, .jsonl, .jsonl.gz in any form of data/records.h
  std::string output;              // tokenizer.model
  int32_t vocab_size = 32000;
  double character_coverage = 0.99995;  // rarer characters fall back to bytes
  int64_t input_sentence_size = 0;      // learn from that many lines drawn at random; 0: from all
  uint64_t seed = 0;                    // of that draw
  bool skip_bad_lines = false;
};

// Learns from every text of the files, line by line (a newline is always encoded as its byte, as in
// Llama). Same options and files, same bytes. `output` is written beside and renamed. Returns a
// line for people: pieces, lines, characters.
std::string train_tokenizer(const TokenizerTraining& options);

}  // namespace cria
