#include "trainers/ppo/rollouts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/signals.h"

namespace cria {

namespace {

struct Share {
  size_t begin;
  size_t end;
};

Share share_of(const Communicator& communicator, size_t count) {
  const auto rank = static_cast<size_t>(communicator.rank());
  const auto size = static_cast<size_t>(communicator.size());
  return {count * rank / size, count * (rank + 1) / size};
}

// Lengths first, so that every rank knows the places of all tokens; a rank leaves those of the
// others 0, and the sum over the ranks is everything.
void exchange_answers(std::vector<Rollout>& rollouts, Communicator& communicator) {
  std::vector<double> ends(2 * rollouts.size(), 0.0);
  const auto [begin, end] = share_of(communicator, rollouts.size());
  for (size_t i = begin; i < end; ++i) {
    ends[2 * i] = static_cast<double>(rollouts[i].answer.size());
    ends[2 * i + 1] = rollouts[i].finished_by_eos ? 1 : 0;
  }
  communicator.all_reduce_sum(std::span(ends));
  size_t total = 0;
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].answer.resize(static_cast<size_t>(ends[2 * i]), 0);
    rollouts[i].finished_by_eos = ends[2 * i + 1] > 0;
    total += rollouts[i].answer.size();
  }
  std::vector<double> tokens;
  tokens.reserve(total);
  for (const Rollout& rollout : rollouts) {
    tokens.insert(tokens.end(), rollout.answer.begin(), rollout.answer.end());
  }
  communicator.all_reduce_sum(std::span(tokens));
  auto token = tokens.begin();
  for (Rollout& rollout : rollouts) {
    for (int32_t& id : rollout.answer) id = static_cast<int32_t>(*token++);
  }
}

}  // namespace

RolloutBatch::RolloutBatch(std::vector<Rollout> answered) : rollouts(std::move(answered)) {
  token_offsets.push_back(0);
  for (const Rollout& rollout : rollouts) {
    CRIA_ASSERT(!rollout.answer.empty());
    token_offsets.push_back(token_offsets.back() + rollout.answer.size());
  }
  for (std::vector<float>* figures :
       {&logprobs, &reference_logprobs, &entropies, &values, &advantages, &returns}) {
    figures->resize(token_count());
  }
}

std::span<float> RolloutBatch::tokens_of(size_t rollout, std::vector<float>& figures) const {
  return std::span(figures).subspan(token_offsets[rollout],
                                    token_offsets[rollout + 1] - token_offsets[rollout]);
}

std::span<const float> RolloutBatch::tokens_of(size_t rollout,
                                               const std::vector<float>& figures) const {
  return std::span(figures).subspan(token_offsets[rollout],
                                    token_offsets[rollout + 1] - token_offsets[rollout]);
}

std::vector<Rollout> sample_answers(Generator& generator, Communicator& communicator,
                                    const std::vector<const Prompt*>& prompts,
                                    const RolloutSettings& settings,
                                    const AnswerProgress& progress) {
  std::vector<Rollout> rollouts(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) rollouts[i].prompt = prompts[i];

  const auto [begin, end] = share_of(communicator, prompts.size());
  std::vector<GenerationRequest> requests;
  for (size_t i = begin; i < end; ++i) {
    requests.push_back({.prompt = prompts[i]->ids,
                        .example = settings.first_example + i,
                        .settings = settings.sampling});
  }
  int64_t answers = 0;
  int64_t tokens = 0;
  const auto listener = [&](const DrawnToken& token) {
    ++tokens;
    if (token.last) ++answers;
    progress(answers, static_cast<int64_t>(requests.size()), tokens);
    return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
  };
  std::vector<GenerationResult> results = generator.generate(requests, listener);
  for (size_t i = begin; i < end; ++i) {
    rollouts[i].answer = std::move(results[i - begin].tokens);
    rollouts[i].finished_by_eos = results[i - begin].finished_by_eos;
  }
  exchange_answers(rollouts, communicator);
  return rollouts;
}

void score_answers(std::vector<Rollout>& rollouts, RewardModels& models,
                   Communicator& communicator) {
  std::vector<Answer> answers;
  answers.reserve(rollouts.size());
  for (const Rollout& rollout : rollouts) {
    Answer answer{.sequence = {.ids = rollout.prompt->ids},
                  .is_safety_prompt = rollout.prompt->is_safety};
    answer.sequence.ids.insert(answer.sequence.ids.end(), rollout.answer.begin(),
                               rollout.answer.end());
    answers.push_back(std::move(answer));
  }
  const std::vector<AnswerScore> scores = score_over_ranks(answers, models, communicator);
  for (size_t i = 0; i < rollouts.size(); ++i) rollouts[i].score = scores[i];
}

std::string rollout_lines(const RolloutBatch& batch, int64_t count, const Tokenizer& tokenizer) {
  std::string lines;
  const size_t shown = std::min(batch.rollouts.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const Rollout& rollout = batch.rollouts[i];
    double kl = 0;
    for (size_t t = batch.token_offsets[i]; t < batch.token_offsets[i + 1]; ++t) {
      kl +=
          static_cast<double>(batch.logprobs[t]) - static_cast<double>(batch.reference_logprobs[t]);
    }
    nlohmann::ordered_json line;
    line["prompt"] = rollout.prompt->shown;
    line["answer"] = strip(decode_continuation(tokenizer, rollout.prompt->ids, rollout.answer));
    line["finished_by_eos"] = rollout.finished_by_eos;
    line["answer_tokens"] = rollout.answer.size();
    line["is_safety_prompt"] = rollout.prompt->is_safety;
    line["score"] = rollout.score.combined;
    line["helpfulness"] = rollout.score.helpfulness;
    line["safety"] = rollout.score.safety;
    line["reward"] = rollout.reward;
    line["kl"] = kl;
    lines += line.dump() + "\n";
  }
  return lines;
}

}  // namespace cria
