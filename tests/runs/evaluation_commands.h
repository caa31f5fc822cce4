// What the tests of `cria eval`'s subcommands share: two small reward models, prompts and answers.
#pragma once

#include <string>
#include <vector>

#include "runs/commands.h"

namespace cria::testing {

class EvaluationCommands : public Commands {
 protected:
  EvaluationCommands() {
    write_lines(path("shape.yaml"),
                {"hidden_size: 32", "intermediate_size: 64", "num_hidden_layers: 2",
                 "num_attention_heads: 4", "num_key_value_heads: 2", "max_position_embeddings: 128",
                 "initializer_range: 0.3"});
    make_model("helpful", "1", {"--head", "score"});
    make_model("safe", "2", {"--head", "score"});
  }

  // The scores that `cria score` gives to these lines.
  std::vector<double> scores(const std::string& model,
                             const std::vector<std::string>& lines) const {
    write_lines(path("to_score.jsonl"), lines);
    run_cria_well({"score", "--model", path(model), "--data", path("to_score.jsonl"), "--output",
                   path("scored.jsonl")});
    std::vector<double> values;
    for (const auto& line : json_lines(path("scored.jsonl"))) {
      values.push_back(static_cast<double>(line["reward"].get<float>()));
    }
    return values;
  }

  // `cria eval` with these words; what it left in --output.
  nlohmann::json figures(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"eval"};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"--output", path("figures.json")});
    run_cria_well(all);
    return nlohmann::json::parse(read_bytes(path("figures.json")));
  }
};

}  // namespace cria::testing
