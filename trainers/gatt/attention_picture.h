// The picture of a dialogue's attention (Llama 2, Figure 10): how much each generated token attends
// to each token of the dialogue, the largest weight over heads and layers, neighbouring tokens
// binned.
//
// A generated token's weights are those of the row that predicted it, the token before it: what the
// model looked at when it chose the token.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cria/data/ghost_attention.h"
#include "cria/report/heat_map.h"

namespace cria {

// Tokens [begin, end) of a sequence; rows: of generated tokens, of one turn's answer.
struct TokenBin {
  size_t begin = 0, end = 0;
  size_t turn = 0;  // of rows
};

struct AttentionPicture {
  std::string model;                // its name
  std::vector<std::string> pieces;  // the tokens' texts
  TokenBin instruction;             // where it stands in the first turn
  std::vector<TokenBin> rows;
  std::vector<TokenBin> columns;
  // [R, C], the largest weight of the bin. 0 where the column lies behind all of the row's tokens.
  std::vector<float> attention;
  // By answer: the largest weight on a token of the instruction, averaged over the answer's tokens.
  std::vector<AnswerSpan> answers;
  std::vector<double> to_instruction;
};

// The rows that predicted the answers' tokens, in their order.
std::vector<int32_t> generating_rows(std::span<const AnswerSpan> answers);

// Where the instruction stands in the first turn.
TokenBin instruction_tokens(const InstructedDialogue& dialogue, Placement placement,
                            const Tokenizer& tokenizer);

// `maxima` [R, T]: of the generating rows, as AttentionProbe gives them. Bins of `bin` tokens, the
// last of an answer and of the dialogue may have fewer.
AttentionPicture attention_picture(const GhostSequence& sequence, const TokenBin& instruction,
                                   std::span<const float> maxima, size_t bin);

nlohmann::ordered_json to_json(const AttentionPicture& picture);
// By range of turns, the mean attention to the instruction, models one below the other.
std::string attention_table(const std::vector<AttentionPicture>& pictures);
HeatMap attention_heat_map(const std::vector<AttentionPicture>& pictures, size_t bin);

}  // namespace cria
