#include "trainers/distill/distill_sampler.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "cria/io/append_file.h"
#include "cria/report/progress.h"
#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/sample_files.h"
#include "trainers/signals.h"

namespace cria {

DistillSampler::DistillSampler(const DistillConfig& config, std::span<const Prompt> prompts,
                               const Preprompts& preprompts, int64_t max_context,
                               RewardModels& rewards, const Tokenizer& tokenizer,
                               Communicator& communicator, Backend& backend)
    : config_(config),
      prompts_(prompts),
      preprompts_(preprompts),
      rewards_(rewards),
      tokenizer_(tokenizer),
      communicator_(communicator),
      engine_(
          config.sampler_path(), config.training.precision,
          {.slots = config.distill.slots, .max_context = max_context, .seed = config.training.seed},
          backend) {}

int64_t DistillSampler::chunk_prompts() const {
  const auto& d = config_.distill;
  if (d.chunk_prompts > 0) return d.chunk_prompts;
  const int64_t sorts = (d.generic.empty() ? 0 : 1) + (d.templates.empty() ? 0 : 1);
  const int64_t answers = 1 + sorts * d.num_samples;
  return (8 * d.slots + answers - 1) / answers;
}

std::vector<DistillPrompt> DistillSampler::sample(std::span<const Prompt> prompts,
                                                  const TokenListener& listener) {
  std::vector<Preprompted> asked;
  std::vector<DistillPrompt> sampled;
  for (const Prompt& prompt : prompts) {
    std::vector<Preprompted> answers = preprompts_.of(prompt);
    sampled.push_back({.number = prompt.number,
                       .given = prompt.given,
                       .is_safety = prompt.is_safety,
                       .risk = prompt.label,
                       .ids = prompt.ids,
                       .answers = std::vector<DistillAnswer>(answers.size())});
    std::move(answers.begin(), answers.end(), std::back_inserter(asked));
  }
  const auto& d = config_.distill;
  std::vector<GenerationRequest> requests;
  for (const Preprompted& one : asked) {
    requests.push_back({.prompt = one.ids,
                        .example = one.key,
                        .settings = d.settings(d.temperature, engine_.config().eos_token_id)});
  }
  const std::vector<GenerationResult> results = engine_.generator().generate(requests, listener);
  size_t next = 0;
  for (DistillPrompt& prompt : sampled) {
    for (DistillAnswer& answer : prompt.answers) {
      const Preprompted& one = asked[next];
      const GenerationResult& result = results[next++];
      if (!result.complete) return {};
      answer = {.kind = one.kind,
                .preprompt = one.text,
                .completion = {},
                .ids = one.opening,
                .finished_by_eos = result.finished_by_eos};
      answer.ids.insert(answer.ids.end(), result.tokens.begin(), result.tokens.end());
      answer.completion = strip(decode_continuation(tokenizer_, prompt.ids, answer.ids));
    }
  }
  return sampled;
}

void DistillSampler::score(std::span<DistillPrompt> prompts) {
  std::vector<Answer> answers;
  for (const DistillPrompt& prompt : prompts) {
    for (const DistillAnswer& answer : prompt.answers) {
      answers.push_back({.sequence = {.ids = prompt.sequence(answer)}});
    }
  }
  const std::vector<AnswerScore> scores = rewards_.score(answers);
  size_t next = 0;
  for (DistillPrompt& prompt : prompts) {
    for (DistillAnswer& answer : prompt.answers) answer.safety = scores[next++].safety;
  }
}

int DistillSampler::fill(const std::string& pool, const StandingPrompts& standing) {
  const auto total = static_cast<int64_t>(prompts_.size());
  const int64_t ranks = communicator_.size();
  const int64_t chunk = chunk_prompts();
  std::unique_ptr<AppendFile> file;  // of the root
  std::unique_ptr<Progress> progress;
  if (communicator_.is_root()) {
    file = std::make_unique<AppendFile>(pool, standing.bytes);
    progress = std::make_unique<Progress>(
        "prompt", total, ProgressOptions{.stream = stdout, .done = standing.prompts});
  }
  const TokenListener listener = [](const DrawnToken&) {
    return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
  };
  for (int64_t begin = standing.prompts; begin < total; begin += chunk * ranks) {
    const int64_t first = std::min(begin + communicator_.rank() * chunk, total);
    const int64_t last = std::min(first + chunk, total);
    std::vector<DistillPrompt> sampled = sample(
        prompts_.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first)), listener);
    if (const int signal = agreed_stop_signal(communicator_)) return signal;
    score(sampled);
    std::string lines;
    for (const DistillPrompt& prompt : sampled) lines += to_line(prompt);
    lines = gather_text(communicator_, lines);
    if (file) file->append(lines);
    if (progress) progress->update(std::min(begin + chunk * ranks, total), "sampled and scored");
  }
  return 0;
}

}  // namespace cria
