#include "trainers/reference_logprobs.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/file.h"
#include "cria/report/progress.h"

#include "trainers/scorer.h"

namespace cria {

namespace {

constexpr int64_t kPairsAtOnce = 256;

std::string data_checksum(const PreferenceData& data) {
  Sha256 sum;
  const auto add = [&](const auto& values) { sum.update(std::as_bytes(std::span(values))); };
  for (int64_t item = 0; item < data.pair_count(); ++item) {
    for (const Example* sequence : {&data.pair(item).chosen, &data.pair(item).rejected}) {
      add(std::array{sequence->ids.size(), sequence->weights.size()});
      add(sequence->ids);
      add(sequence->labels);
      add(sequence->weights);
    }
  }
  return sum.finish();
}

// What the figures in a cache belong to.
nlohmann::json description(const std::string& model, const InferenceOptions& options,
                           const PreferenceData& data) {
  return {{"model", model_checksum(model)},
          {"precision", options.precision},
          {"data", data_checksum(data)}};
}

// Chosen and rejected of each pair; empty where the file is not there, or another's.
std::vector<double> read_cache(const std::string& path, const nlohmann::json& wanted) {
  if (!std::filesystem::exists(path)) return {};
  const auto cache = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!cache.is_object() || cache.value("of", nlohmann::json()) != wanted) return {};
  return cache.at("logprobs").get<std::vector<double>>();
}

double answer_logprob(const Example& sequence, std::span<const float> logprobs) {
  double sum = 0;
  for (size_t i = 1; i < sequence.ids.size(); ++i) {
    if (sequence.weight(i) > 0) sum += static_cast<double>(logprobs[i - 1]);
  }
  return sum;
}

// The pairs of this rank; those of others stay 0.
std::vector<double> score_share(const std::string& model, const InferenceOptions& options,
                                const PreferenceData& data, const Communicator& communicator) {
  PretrainedModel pretrained(model, options);
  Scorer scorer(pretrained.model(), /*batch_tokens=*/0);
  scorer.reserve(pretrained.arena());
  const int64_t begin = data.pair_count() * communicator.rank() / communicator.size();
  const int64_t end = data.pair_count() * (communicator.rank() + 1) / communicator.size();
  for (int64_t item = begin; item < end; ++item) {
    scorer.check(data.pair(item).chosen, "dpo.reference");
    scorer.check(data.pair(item).rejected, "dpo.reference");
  }
  pretrained.load();
  std::vector<double> logprobs(static_cast<size_t>(2 * data.pair_count()), 0.0);
  std::optional<Progress> progress;
  if (communicator.is_root()) progress.emplace("pairs scored by the reference", end - begin);
  for (int64_t first = begin; first < end; first += kPairsAtOnce) {
    const int64_t last = std::min(end, first + kPairsAtOnce);
    std::vector<Example> sequences;
    for (int64_t item = first; item < last; ++item) {
      sequences.push_back(data.pair(item).chosen);
      sequences.push_back(data.pair(item).rejected);
    }
    const std::vector<std::vector<float>> of_tokens = scorer.logprobs(sequences);
    for (size_t i = 0; i < sequences.size(); ++i) {
      logprobs[static_cast<size_t>(2 * first) + i] = answer_logprob(sequences[i], of_tokens[i]);
    }
    if (progress) progress->update(last - begin, "");
  }
  return logprobs;
}

}  // namespace

std::vector<PairLogprobs> reference_logprobs(const std::string& model,
                                             const InferenceOptions& options,
                                             const PreferenceData& data, const std::string& cache,
                                             Communicator& communicator) {
  const auto count = static_cast<size_t>(data.pair_count());
  nlohmann::json wanted;
  std::vector<double> logprobs;
  if (communicator.is_root()) {
    wanted = description(model, options, data);
    logprobs = read_cache(cache, wanted);
  }
  double known[] = {logprobs.size() == 2 * count ? 1.0 : 0.0};  // asked of the root alone
  communicator.all_reduce_sum(std::span<double>(known));
  if (known[0] > 0) {
    logprobs.resize(2 * count, 0.0);
    communicator.all_reduce_sum(std::span<double>(logprobs));
    if (communicator.is_root()) spdlog::info("log-probabilities of the reference: {}", cache);
  } else {
    logprobs = score_share(model, options, data, communicator);
    communicator.all_reduce_sum(std::span<double>(logprobs));
    if (communicator.is_root()) {
      std::filesystem::create_directories(std::filesystem::path(cache).parent_path());
      write_file_atomically(
          cache, nlohmann::ordered_json{{"of", wanted}, {"logprobs", logprobs}}.dump() + "\n");
      spdlog::info("log-probabilities of the reference written to {}", cache);
    }
  }
  std::vector<PairLogprobs> pairs(count);
  for (size_t i = 0; i < count; ++i) pairs[i] = {logprobs[2 * i], logprobs[2 * i + 1]};
  return pairs;
}

}  // namespace cria
