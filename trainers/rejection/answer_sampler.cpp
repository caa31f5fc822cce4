#include "trainers/rejection/answer_sampler.h"

#include <algorithm>
#include <chrono>

#include "cria/io/append_file.h"
#include "cria/report/progress.h"
#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/sample_files.h"
#include "trainers/signals.h"

namespace cria {

NumberedPrompts read_numbered_prompts(const std::vector<std::string>& paths,
                                      const PromptOptions& form, const Tokenizer& tokenizer,
                                      const std::function<void(const Prompt&)>& check) {
  NumberedPrompts all;
  uint32_t first = 0;
  for (const std::string& path : paths) {
    PromptFile file = read_prompts(path, form, tokenizer, check);
    if (file.prompts.empty()) {
      throw input_error(path, file.skipped > 0
                                  ? "has no good prompt, the first bad one: " + file.first_skipped
                                  : "has no prompts");
    }
    for (Prompt& prompt : file.prompts) {
      prompt.number += first;
      all.prompts.push_back(std::move(prompt));
    }
    first += static_cast<uint32_t>(file.prompts.size()) + static_cast<uint32_t>(file.skipped);
    if (all.skipped == 0) all.first_skipped = file.first_skipped;
    all.skipped += file.skipped;
  }
  return all;
}

NumberedPrompts read_numbered_prompts(const RejectionConfig& config, const ModelConfig& generator,
                                      int64_t max_context, const Tokenizer& tokenizer) {
  return read_numbered_prompts(
      config.rejection.prompts, prompt_options(config.data), tokenizer, [&](const Prompt& prompt) {
        validate({.prompt = prompt.ids, .settings = config.rejection.settings(0, 0)}, generator,
                 max_context, prompt.where);
      });
}

AnswerSampler::AnswerSampler(const RejectionConfig& config, const NumberedPrompts& prompts,
                             int64_t max_context, std::string generator_checksum,
                             RewardModels& rewards, const Tokenizer& tokenizer,
                             Communicator& communicator, Backend& backend)
    : config_(config),
      prompts_(prompts.prompts),
      generator_checksum_(std::move(generator_checksum)),
      rewards_(rewards),
      tokenizer_(tokenizer),
      communicator_(communicator),
      engine_(config.generator_path(), config.training.precision,
              {.slots = config.rejection.slots,
               .max_context = context_needed(longest_prompt(prompts_),
                                             config.rejection.max_new_tokens, max_context),
               .seed = config.training.seed},
              backend) {}

int64_t AnswerSampler::chunk_prompts() const {
  if (config_.rejection.chunk_prompts > 0) return config_.rejection.chunk_prompts;
  const int64_t samples = config_.samples_per_prompt();
  return (8 * config_.rejection.slots + samples - 1) / samples;
}

std::vector<PooledSample> AnswerSampler::sample(std::span<const Prompt> prompts,
                                                const TokenListener& listener) {
  const auto& r = config_.rejection;
  std::vector<GenerationRequest> requests;
  for (const Prompt& prompt : prompts) {
    for (int64_t sample = 0; sample < config_.samples_per_prompt(); ++sample) {
      const double temperature = r.temperatures[static_cast<size_t>(sample / r.num_samples)];
      requests.push_back({.prompt = prompt.ids,
                          .example = sample_key(r.iteration, prompt.number, sample),
                          .settings = r.settings(temperature, engine_.config().eos_token_id)});
    }
  }
  const std::vector<GenerationResult> results = engine_.generator().generate(requests, listener);
  std::vector<PooledSample> samples;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].complete) return {};
    const auto per_prompt = static_cast<size_t>(config_.samples_per_prompt());
    const Prompt& prompt = prompts[i / per_prompt];
    const auto sample = static_cast<int64_t>(i % per_prompt);
    const std::string text = decode_continuation(tokenizer_, prompt.ids, results[i].tokens);
    samples.push_back({.iteration = r.iteration,
                       .prompt_number = prompt.number,
                       .sample = sample,
                       .temperature = r.temperatures[static_cast<size_t>(sample / r.num_samples)],
                       .prompt = prompt.given,
                       .is_safety = prompt.is_safety,
                       .completion = prompt.is_chat ? std::string(strip(text)) : text,
                       .prompt_ids = prompt.ids,
                       .completion_ids = results[i].tokens,
                       .finished_by_eos = results[i].finished_by_eos,
                       .reward_model = rewards_.checksum(),
                       .generator = generator_checksum_});
  }
  return samples;
}

std::string AnswerSampler::scored_lines(std::vector<PooledSample> samples) {
  std::vector<Answer> answers;
  for (const PooledSample& sample : samples) answers.push_back(sample.answer());
  const std::vector<AnswerScore> scores = rewards_.score(answers);
  std::string lines;
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].score = scores[i];
    lines += to_line(samples[i]);
  }
  return lines;
}

int AnswerSampler::fill(const std::string& pool, const StandingPart& standing) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const int64_t per_prompt = config_.samples_per_prompt();
  const auto total = static_cast<int64_t>(prompts_.size());
  const int64_t ranks = communicator_.size();
  const int64_t chunk = chunk_prompts();

  std::unique_ptr<Progress> progress;  // of the root, as the file
  std::unique_ptr<AppendFile> file;
  if (communicator_.is_root()) {
    file = std::make_unique<AppendFile>(pool, standing.bytes);
    progress = std::make_unique<Progress>(
        "answer", total * per_prompt, ProgressOptions{.stream = stdout, .done = standing.samples});
  }
  int64_t done = standing.samples;  // as shown: as if all ranks were as far as the root
  int64_t tokens = 0;
  const auto show = [&](const char* doing) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (progress) {
      progress->update(
          std::min(done, total * per_prompt),
          fmt::format("{}  {:.0f} tokens/s", doing, static_cast<double>(tokens) / seconds));
    }
  };
  const TokenListener listener = [&](const DrawnToken& token) {
    tokens += ranks;
    if (token.last) done += ranks;
    show("sampling");
    return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
  };

  for (int64_t begin = standing.samples / per_prompt; begin < total; begin += chunk * ranks) {
    const int64_t first = std::min(begin + communicator_.rank() * chunk, total);
    const int64_t last = std::min(first + chunk, total);
    std::vector<PooledSample> samples = sample(
        std::span(prompts_).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first)),
        listener);
    if (const int signal = agreed_stop_signal(communicator_)) return signal;
    show("scoring");
    const std::string lines = gather_text(communicator_, scored_lines(std::move(samples)));
    if (file) file->append(lines);
    done = std::min(begin + chunk * ranks, total) * per_prompt;
    show("scored");
  }
  return 0;
}

}  // namespace cria
