// How alike the answers of a model to one prompt are: Self-BLEU (Zhu et al. 2018, "Texygen"), by
// which Llama 2 (section 5.1, "In-Context Temperature Rescaling") shows what temperature does to
// creative and to factual prompts. 1: all the same. Lower: more diverse.
//
// Each of the K samples of a prompt is a hypothesis and the K - 1 others are its references; their
// BLEU scores (Papineni et al. 2002) with n-grams of 1 to 4 and uniform weights are averaged over
// samples, then over prompts:
//
//   BLEU = BP * exp(1/4 sum_n log p_n)      BP = min(1, exp(1 - r/c))
//   p_n  = sum over n-grams g of min(count of g in the hypothesis, highest count in a reference)
//          / max(1, number of n-grams in the hypothesis)
//
// with c the hypothesis's length and r the reference length nearest to it, of two the shorter. A
// p_n of 0 is 0.1 / its denominator instead (Chen and Cherry 2014, smoothing 1, with nltk's
// epsilon); without a word in common BLEU is 0. All as nltk's sentence_bleu with
// SmoothingFunction().method1.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/report/plot.h"

#include "trainers/evaluation/answers.h"

namespace cria {

using TokenList = std::vector<int32_t>;

// The words of each text, numbered: what white space separates, as Python's str.split().
std::vector<TokenList> numbered_words(std::span<const std::string> texts);

// BLEU of each sample against all others. At least two.
std::vector<double> self_bleu(std::span<const TokenList> samples);

enum class BleuTokens { words, ids };  // ids: as sampled, without the eos at the end

// Of one group of prompts at one temperature.
struct SelfBleuPoint {
  std::string group;
  double temperature = 0;
  int64_t prompts = 0;
  int64_t samples = 0;
  double self_bleu = 0;       // mean over prompts
  double standard_error = 0;  // of that mean; 0 for a single prompt
};

// Groups in the order of the answers, each by rising temperature. Groups are the values of a field;
// answers without it are of the group "all". An input Error names an answer without a temperature,
// or without ids where those are asked for, and one whose prompt has no second answer.
std::vector<SelfBleuPoint> self_bleu_points(std::span<const EvaluatedAnswer> answers,
                                            BleuTokens tokens, const std::string& group_field);

nlohmann::ordered_json to_json(std::span<const SelfBleuPoint> points);
std::string table(std::span<const SelfBleuPoint> points);  // for people
Plot plot(std::span<const SelfBleuPoint> points);

}  // namespace cria
