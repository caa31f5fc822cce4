#include "trainers/rlhf/answer_file.h"

#include <algorithm>
#include <fstream>
#include <memory>

#include "cria/data/json_lines.h"
#include "cria/io/append_file.h"
#include "cria/report/progress.h"
#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/answer_engine.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/sample_files.h"
#include "trainers/signals.h"

namespace cria {

namespace {

using nlohmann::json;

// Whole lines, answer after answer.
StandingPart standing_answers(const std::string& path) {
  StandingPart standing;
  std::ifstream file(path, std::ios::binary);
  for (std::string text; std::getline(file, text) && !file.eof();) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || line.value("answer", int64_t{-1}) != standing.samples) break;
    ++standing.samples;
    standing.bytes += static_cast<int64_t>(text.size()) + 1;
  }
  return standing;
}

std::string line_of(int64_t number, const AnswerRequest& request, const GenerationResult& result,
                    const Tokenizer& tokenizer) {
  const std::string text = decode_continuation(tokenizer, request.prompt->ids, result.tokens);
  const std::string completion = request.prompt->is_chat ? std::string(strip(text)) : text;
  return fmt::format(
      "{{\"answer\": {}, \"prompt\": {}, \"temperature\": {}, \"completion\": {}, "
      "\"completion_ids\": [{}], \"finished_by_eos\": {}}}\n",
      number, request.prompt->given.dump(), request.temperature, json(completion).dump(),
      fmt::join(result.tokens, ", "), result.finished_by_eos);
}

// One model, loaded to answer.
class Answerer {
 public:
  Answerer(const std::string& directory, const AnswerSettings& settings, int64_t max_context,
           Backend& backend)
      : settings_(settings),
        arena_(backend.memory()),
        engine_(
            directory, settings.precision,
            {.slots = settings.sampling.slots, .max_context = max_context, .seed = settings.seed},
            backend) {
    engine_.reserve(arena_);
    arena_.allocate();
    engine_.load();
  }

  // None when a signal ended it.
  std::vector<GenerationResult> answer(std::span<const AnswerRequest> requests,
                                       const TokenListener& listener) {
    std::vector<GenerationRequest> asked;
    for (const AnswerRequest& request : requests) {
      asked.push_back({.prompt = request.prompt->ids,
                       .example = request.key,
                       .settings = settings_.sampling.settings(request.temperature,
                                                               engine_.config().eos_token_id)});
    }
    std::vector<GenerationResult> results = engine_.generator().generate(asked, listener);
    const bool whole = std::all_of(results.begin(), results.end(),
                                   [](const GenerationResult& result) { return result.complete; });
    return whole ? results : std::vector<GenerationResult>();
  }

 private:
  const AnswerSettings& settings_;
  Arena arena_;
  AnswerEngine engine_;
};

int64_t longest_prompt(const std::vector<AnswerRequest>& requests) {
  int64_t longest = 0;
  for (const AnswerRequest& request : requests) {
    longest = std::max(longest, static_cast<int64_t>(request.prompt->ids.size()));
  }
  return longest;
}

}  // namespace

int sample_answers(const std::string& path, std::span<const AnswerJob> jobs,
                   const AnswerSettings& settings, const Tokenizer& tokenizer,
                   Communicator& communicator, Backend& backend) {
  std::unique_ptr<AppendFile> file;  // of the root
  std::unique_ptr<Progress> progress;
  int64_t total = 0;
  for (const AnswerJob& job : jobs) total += static_cast<int64_t>(job.requests.size());
  StandingPart part;
  if (communicator.is_root()) {
    part = standing_answers(path);
    file = std::make_unique<AppendFile>(path, part.bytes);
    progress = std::make_unique<Progress>("answer", total,
                                          ProgressOptions{.stream = stdout, .done = part.samples});
  }
  int64_t done = from_root(communicator, part.samples);

  const int64_t ranks = communicator.size();
  const int64_t chunk = 8 * settings.sampling.slots;
  int64_t shown = done;  // as if all ranks were as far as the root
  const TokenListener listener = [&](const DrawnToken& token) {
    if (token.last) shown += ranks;
    if (progress) progress->update(std::min(shown, total), "sampling");
    return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
  };
  int64_t job_begin = 0;
  for (const AnswerJob& job : jobs) {
    const int64_t job_end = job_begin + static_cast<int64_t>(job.requests.size());
    if (done < job_end) {
      Answerer answerer(job.model, settings,
                        context_needed(longest_prompt(job.requests),
                                       settings.sampling.max_new_tokens, settings.max_context),
                        backend);
      while (done < job_end) {
        const int64_t first = std::min(done + communicator.rank() * chunk, job_end);
        const int64_t last = std::min(first + chunk, job_end);
        const auto requests =
            std::span(job.requests)
                .subspan(static_cast<size_t>(first - job_begin), static_cast<size_t>(last - first));
        const std::vector<GenerationResult> results = answerer.answer(requests, listener);
        if (const int signal = agreed_stop_signal(communicator)) return signal;
        std::string lines;
        for (size_t i = 0; i < results.size(); ++i) {
          lines += line_of(first + static_cast<int64_t>(i), requests[i], results[i], tokenizer);
        }
        lines = gather_text(communicator, lines);
        if (file) file->append(lines);
        done = std::min(done + chunk * ranks, job_end);
        shown = done;
      }
    }
    job_begin = job_end;
  }
  return 0;
}

std::vector<SampledAnswer> read_sampled_answers(const std::string& path) {
  std::vector<SampledAnswer> answers;
  JsonLines lines(path);
  for (json line; lines.next(line);) {
    try {
      answers.push_back({.temperature = line.at("temperature"),
                         .completion = line.at("completion"),
                         .ids = line.at("completion_ids"),
                         .finished_by_eos = line.at("finished_by_eos")});
    } catch (const json::exception&) {
      throw input_error(lines.where(), "no line of sampled answers");
    }
  }
  return answers;
}

}  // namespace cria
