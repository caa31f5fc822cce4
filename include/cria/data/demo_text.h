// A small text world to try cria on: people, things, colours and numbers in short English
// sentences, and questions about them.
#pragma once

#include <cstdint>
#include <string>

namespace cria {

// Writes pretrain.jsonl ({"text"}), sft_train.jsonl and sft_test.jsonl ({"prompt", "completion"})
// into `directory`, which is made where needed. Same seed, same bytes. No person of the test file
// is asked about in the training file.
void write_demo_text(const std::string& directory, uint64_t seed);

}  // namespace cria
