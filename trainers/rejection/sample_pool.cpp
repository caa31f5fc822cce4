#include "trainers/rejection/sample_pool.h"

#include <filesystem>
#include <fstream>

#include "cria/data/json_lines.h"

namespace cria {

namespace {

using nlohmann::json;

template <typename T>
T field(const json& line, const char* name, const std::string& where) {
  try {
    return line.at(name).get<T>();
  } catch (const json::exception&) {
    throw input_error(where,
                      fmt::format("field '{}' is {}", name,
                                  line.is_object() && line.contains(name) ? "wrong" : "missing"),
                      "a line of a pool, as `cria rejection` writes it");
  }
}

}  // namespace

Answer PooledSample::answer() const {
  Answer answer{.is_safety_prompt = is_safety};
  answer.sequence.ids = prompt_ids;
  answer.sequence.ids.insert(answer.sequence.ids.end(), completion_ids.begin(),
                             completion_ids.end());
  return answer;
}

std::string to_line(const PooledSample& s) {
  return fmt::format(
      "{{\"iteration\": {}, \"prompt_number\": {}, \"sample\": {}, \"temperature\": {}, "
      "\"prompt\": {}, \"category\": \"{}\", \"completion\": {}, \"prompt_ids\": [{}], "
      "\"completion_ids\": [{}], \"finished_by_eos\": {}, \"score\": {}, \"helpfulness\": {}, "
      "\"safety\": {}, \"reward_model\": \"{}\", \"generator\": \"{}\"}}\n",
      s.iteration, s.prompt_number, s.sample, s.temperature, s.prompt.dump(),
      s.is_safety ? "safety" : "helpful", json(s.completion).dump(), fmt::join(s.prompt_ids, ", "),
      fmt::join(s.completion_ids, ", "), s.finished_by_eos, s.score.combined, s.score.helpfulness,
      s.score.safety, s.reward_model, s.generator);
}

PooledSample parse_sample(const json& line, const std::string& where) {
  return {.iteration = field<int64_t>(line, "iteration", where),
          .prompt_number = field<int64_t>(line, "prompt_number", where),
          .sample = field<int64_t>(line, "sample", where),
          .temperature = field<double>(line, "temperature", where),
          .prompt = field<json>(line, "prompt", where),
          .is_safety = field<std::string>(line, "category", where) == "safety",
          .completion = field<std::string>(line, "completion", where),
          .prompt_ids = field<std::vector<int32_t>>(line, "prompt_ids", where),
          .completion_ids = field<std::vector<int32_t>>(line, "completion_ids", where),
          .finished_by_eos = field<bool>(line, "finished_by_eos", where),
          .score = {.combined = field<float>(line, "score", where),
                    .helpfulness = field<float>(line, "helpfulness", where),
                    .safety = field<float>(line, "safety", where)},
          .reward_model = field<std::string>(line, "reward_model", where),
          .generator = field<std::string>(line, "generator", where)};
}

void for_each_sample(const std::string& path, const SampleVisitor& visit) {
  JsonLines lines(path);
  for (json line; lines.next(line);) visit(parse_sample(line, lines.where()), lines.where());
}

StandingPart standing_part(const std::string& path, int64_t piece,
                           const std::function<bool(const PooledSample&, int64_t)>& is_next) {
  StandingPart standing;
  std::ifstream file(path, std::ios::binary);
  int64_t bytes = 0;
  int64_t count = 0;
  // eof() after getline() means that the line had no end.
  for (std::string text; std::getline(file, text) && !file.eof();) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (line.is_discarded()) break;
    if (!is_next(parse_sample(line, fmt::format("{}:{}", path, count + 1)), count)) break;
    bytes += static_cast<int64_t>(text.size()) + 1;
    if (++count % piece == 0) standing = {.samples = count, .bytes = bytes};
  }
  return standing;
}

}  // namespace cria
