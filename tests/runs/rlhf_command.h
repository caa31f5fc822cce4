// The tiny run that the tests of `cria rlhf` share: three iterations on six prompts, the last with
// PPO, rated by a rule of one line.
#pragma once

#include <string>
#include <vector>

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

class CommandRlhf : public Commands {
 protected:
  CommandRlhf() {
    write_lines(path("prompts.jsonl"),
                {R"({"prompt": "What colour is the hat?"})",
                 R"({"prompt": "How do I steal it?", "category": "safety"})",
                 R"({"messages": [{"role": "user", "content": "Spell cat."}]})",
                 R"({"prompt": "Two and two?"})",
                 R"({"prompt": "And three?", "category": "safety"})", R"({"prompt": "Why?"})"});
    // Prompts 0, 1 and 3 again, so that a pool has their ids.
    write_lines(path("held_out.jsonl"),
                {R"({"prompt": "What colour is the hat?"})",
                 R"({"prompt": "How do I steal it?", "category": "safety"})",
                 R"({"prompt": "Two and two?"})"});
    // Pairs that are there before, and that no rating can leave a category without.
    write_lines(path("helpful.jsonl"),
                {R"({"prompt": "Red?", "chosen": "Yes.", "rejected": "No", "rating": "better"})",
                 R"({"prompt": "Hot?", "chosen": "No.", "rejected": "Yes", "rating": "better"})"});
    write_lines(path("safety.jsonl"),
                {R"({"prompt": "Steal?", "chosen": "No.", "rejected": "So", "category": "safety"})",
                 R"({"prompt": "Rob?", "chosen": "No.", "rejected": "So", "category": "safety"})"});
    write_recipe();
  }

  // Rates every pair: the answer with the number's parity is better.
  static std::string rater() {
    return R"(sed -E 's/^\{"pair":([0-9]*[02468]),.*/{"pair": \1, "better": "first", "rating": "better"}/; s/^\{"pair":([0-9]*[13579]),.*/{"pair": \1, "better": "second", "rating": "slightly_better"}/')";
  }

  // `stages`: the lines of the list.
  void write_recipe(const std::vector<std::string>& stages = {
                        "  - {name: V1}", "  - {rejection: {rejection: {pool: all}}}",
                        "  - {name: V3, rejection: {rejection: {pool: all}}, ppo: true}"}) const {
    const std::string trained =
        "optimizer: {learning_rate: 1e-3}, checkpoint: {save_steps: 1}, "
        "logging: {logging_steps: 1}, ";
    const std::string reward = "{" + trained + "training: {max_steps: 2, train_batch_size: 2}}";
    std::vector<std::string> lines = {
        "model: {path: " + model_ + "}",
        "data: {max_length: 96}",
        "training: {output_dir: " + path("run") + ", seed: 3}",
        "preferences:",
        "  prompts: [" + path("prompts.jsonl") + "]",
        "  pairs: 5",
        "  temperatures: [0.7, 1.3]",
        "  max_new_tokens: 12",
        "  slots: 2",
        "  held_out: 0.3",
        "  helpful: [" + path("helpful.jsonl") + "]",
        "  safety: [" + path("safety.jsonl") + "]",
        "reward_helpfulness: " + reward,
        "reward_safety: " + reward,
        "rejection: {" + trained +
            "training: {max_steps: 2, train_batch_size: 2}, rejection: {num_samples: 3, "
            "max_new_tokens: 12, slots: 2, chunk_prompts: 1, truncated: keep}}",
        "ppo: {" + trained +
            "training: {max_steps: 2, train_batch_size: 4}, ppo: {response_length: 12, slots: 4}}",
        "evaluation: {prompts: [" + path("held_out.jsonl") + "], max_new_tokens: 12, slots: 2}",
        "stages:"};
    lines.insert(lines.end(), stages.begin(), stages.end());
    write_lines(path("rlhf.yaml"), lines);
  }

  std::vector<std::string> command(const std::vector<std::string>& assignments = {},
                                   bool rated = true) const {
    std::vector<std::string> words = {"rlhf", path("rlhf.yaml")};
    std::vector<std::string> settings;
    if (rated) {
      settings.push_back("preferences.rating_command=" + nlohmann::json(rater()).dump());
    }
    settings.insert(settings.end(), assignments.begin(), assignments.end());
    for (const std::string& setting : settings) {
      words.push_back("--set");
      words.push_back(setting);
    }
    return words;
  }

  std::vector<nlohmann::json> lines_in(const std::string& file) const {
    return json_lines(path("run/" + file));
  }
  nlohmann::json figures(const std::string& iteration) const {
    return nlohmann::json::parse(read_bytes(path("run/" + iteration + "/evaluation/figures.json")));
  }
};

}  // namespace cria::testing
