#include "trainers/evaluation/self_bleu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "cria/text/utf8.h"

namespace cria {

namespace {

constexpr size_t kOrders = 4;
constexpr double kEpsilon = 0.1;

using Ngram = std::array<int32_t, kOrders>;  // shorter ones end in -1
using NgramCounts = std::map<Ngram, int64_t>;

NgramCounts count_ngrams(const TokenList& tokens, size_t n) {
  NgramCounts counts;
  for (size_t i = 0; i + n <= tokens.size(); ++i) {
    Ngram ngram;
    ngram.fill(-1);
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(i), n, ngram.begin());
    ++counts[ngram];
  }
  return counts;
}

// The highest and the second highest count of an n-gram in one sample, so that the highest among
// the others is known of every sample.
struct HighestCounts {
  int64_t first = 0, second = 0;

  void add(int64_t count) {
    second = std::max(second, std::min(first, count));
    first = std::max(first, count);
  }
  int64_t without(int64_t own) const { return own == first ? second : first; }
};

double precision(const NgramCounts& hypothesis, const std::map<Ngram, HighestCounts>& highest) {
  int64_t matches = 0;
  int64_t all = 0;
  for (const auto& [ngram, count] : hypothesis) {
    matches += std::min(count, highest.at(ngram).without(count));
    all += count;
  }
  const auto denominator = static_cast<double>(std::max<int64_t>(all, 1));
  return (matches == 0 ? kEpsilon : static_cast<double>(matches)) / denominator;
}

bool shares_a_word(const NgramCounts& words, const std::map<Ngram, HighestCounts>& highest) {
  return std::any_of(words.begin(), words.end(), [&](const auto& word) {
    return highest.at(word.first).without(word.second) > 0;
  });
}

double brevity_penalty(std::span<const TokenList> samples, size_t hypothesis) {
  const auto c = static_cast<double>(samples[hypothesis].size());
  double r = INFINITY;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (i == hypothesis) continue;
    const auto length = static_cast<double>(samples[i].size());
    const double nearer = std::abs(length - c) - std::abs(r - c);
    if (nearer < 0 || (nearer == 0 && length < r)) r = length;
  }
  return c > r ? 1.0 : std::exp(1 - r / c);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_error_of_mean(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double centre = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

// All answers to one prompt at one temperature.
struct PromptAnswers {
  std::vector<const EvaluatedAnswer*> answers;

  std::vector<TokenList> tokens(BleuTokens kind) const {
    if (kind == BleuTokens::words) {
      std::vector<std::string> texts;
      for (const EvaluatedAnswer* answer : answers) texts.push_back(answer->completion);
      return numbered_words(texts);
    }
    std::vector<TokenList> lists;
    for (const EvaluatedAnswer* answer : answers) {
      if (answer->ids.empty()) {
        throw input_error(answer->where, "has no completion_ids", "set --tokens to words");
      }
      lists.push_back(answer->ids);
      if (answer->finished) lists.back().pop_back();
    }
    return lists;
  }
};

// The answers of one group, by temperature, then by prompt.
struct Group {
  std::string name;
  std::map<double, std::map<nlohmann::json, PromptAnswers>> by_temperature;
};

std::vector<Group> groups_of(std::span<const EvaluatedAnswer> answers, const std::string& field) {
  std::vector<Group> groups;
  for (const EvaluatedAnswer& answer : answers) {
    if (!answer.temperature) {
      throw input_error(answer.where, "has no temperature",
                        "give --temperatures, one for each file");
    }
    std::string name = answer.field(field);
    if (name.empty()) name = "all";
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& other) { return other.name == name; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{.name = name});
    group->by_temperature[*answer.temperature][answer.prompt].answers.push_back(&answer);
  }
  return groups;
}

}  // namespace

std::vector<TokenList> numbered_words(std::span<const std::string> texts) {
  std::unordered_map<std::string_view, int32_t> numbers;
  std::vector<TokenList> lists;
  for (const std::string& text : texts) {
    lists.emplace_back();
    for (const std::string_view word : split_words(text)) {
      lists.back().push_back(
          numbers.emplace(word, static_cast<int32_t>(numbers.size())).first->second);
    }
  }
  return lists;
}

std::vector<double> self_bleu(std::span<const TokenList> samples) {
  CRIA_ASSERT(samples.size() >= 2);
  std::vector<double> log_precisions(samples.size(), 0.0);
  std::vector<bool> shares(samples.size(), false);
  for (size_t n = 1; n <= kOrders; ++n) {
    std::vector<NgramCounts> counts;
    std::map<Ngram, HighestCounts> highest;
    for (const TokenList& sample : samples) {
      counts.push_back(count_ngrams(sample, n));
      for (const auto& [ngram, count] : counts.back()) highest[ngram].add(count);
    }
    for (size_t i = 0; i < samples.size(); ++i) {
      if (n == 1) shares[i] = shares_a_word(counts[i], highest);
      log_precisions[i] += std::log(precision(counts[i], highest)) / kOrders;
    }
  }
  std::vector<double> scores;
  for (size_t i = 0; i < samples.size(); ++i) {
    scores.push_back(shares[i] ? brevity_penalty(samples, i) * std::exp(log_precisions[i]) : 0.0);
  }
  return scores;
}

std::vector<SelfBleuPoint> self_bleu_points(std::span<const EvaluatedAnswer> answers,
                                            BleuTokens tokens, const std::string& group_field) {
  std::vector<SelfBleuPoint> points;
  for (const Group& group : groups_of(answers, group_field)) {
    for (const auto& [temperature, prompts] : group.by_temperature) {
      SelfBleuPoint point{.group = group.name,
                          .temperature = temperature,
                          .prompts = static_cast<int64_t>(prompts.size())};
      std::vector<double> of_prompts;
      for (const auto& [prompt, its] : prompts) {
        if (its.answers.size() < 2) {
          throw input_error(
              its.answers.front()->where,
              fmt::format("the only answer to its prompt at temperature {}", temperature),
              "Self-BLEU compares two answers or more: raise --num-samples");
        }
        point.samples += static_cast<int64_t>(its.answers.size());
        of_prompts.push_back(mean(self_bleu(its.tokens(tokens))));
      }
      point.self_bleu = mean(of_prompts);
      point.standard_error = standard_error_of_mean(of_prompts);
      points.push_back(point);
    }
  }
  return points;
}

nlohmann::ordered_json to_json(std::span<const SelfBleuPoint> points) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const SelfBleuPoint& point : points) {
    list.push_back({{"group", point.group},
                    {"temperature", point.temperature},
                    {"prompts", point.prompts},
                    {"samples", point.samples},
                    {"self_bleu", point.self_bleu},
                    {"standard_error", point.standard_error}});
  }
  return list;
}

std::string table(std::span<const SelfBleuPoint> points) {
  size_t width = 5;
  for (const SelfBleuPoint& point : points) width = std::max(width, point.group.size());
  std::string text = fmt::format("{:{}} {:>11} {:>8} {:>8}  {}\n", "group", width, "temperature",
                                 "prompts", "samples", "Self-BLEU");
  for (const SelfBleuPoint& point : points) {
    text += fmt::format("{:{}} {:>11} {:>8} {:>8}  {:.3f} ± {:.3f}\n", point.group, width,
                        point.temperature, point.prompts, point.samples, point.self_bleu,
                        point.standard_error);
  }
  return text;
}

Plot plot(std::span<const SelfBleuPoint> points) {
  Plot plot{.title = "Diversity by temperature",
            .x_title = "temperature",
            .y_title = "Self-BLEU (1: all answers alike)"};
  for (const SelfBleuPoint& point : points) {
    if (plot.series.empty() || plot.series.back().label != point.group) {
      plot.series.push_back(
          {.label = point.group, .points = {}, .colour = static_cast<int>(plot.series.size())});
    }
    plot.series.back().points.emplace_back(point.temperature, point.self_bleu);
  }
  return plot;
}

}  // namespace cria
