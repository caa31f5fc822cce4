// The tiny run that the tests of `cria rejection` share: six prompts, six samples of each, two
// reward models.
#pragma once

#include <string>
#include <vector>

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

inline constexpr size_t kPrompts = 6;
inline constexpr size_t kSamples = 6;  // of a prompt: 3 at each of two temperatures

class CommandRejection : public Commands {
 protected:
  CommandRejection() {
    write_lines(path("shape.yaml"),
                {"hidden_size: 32", "intermediate_size: 64", "num_hidden_layers: 2",
                 "num_attention_heads: 4", "num_key_value_heads: 2", "max_position_embeddings: 128",
                 "initializer_range: 0.3"});
    make_model("helpful", "1", {"--head", "score"});
    make_model("safe", "2", {"--head", "score"});
    write_lines(path("prompts.jsonl"),
                {R"({"prompt": "What colour is the hat?", "category": "helpful"})",
                 R"({"prompt": "How do I steal it?", "category": "safety"})",
                 R"({"messages": [{"role": "user", "content": "Spell cat."}]})",
                 R"({"prompt": "Two and two?"})",
                 R"({"prompt": "And three?", "category": "safety"})", R"({"prompt": "Why?"})"});
  }

  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {}) const {
    std::vector<std::string> settings = {"model.path=" + model_,
                                         "data.max_length=96",
                                         "training.train_batch_size=2",
                                         "training.max_steps=4",
                                         "training.output_dir=" + path(output),
                                         "optimizer.learning_rate=1e-3",
                                         "checkpoint.save_steps=2",
                                         "logging.logging_steps=1",
                                         "rejection.helpfulness=" + path("helpful"),
                                         "rejection.safety=" + path("safe"),
                                         "rejection.prompts=[" + path("prompts.jsonl") + "]",
                                         "rejection.num_samples=3",
                                         "rejection.temperatures=[0.7, 1.3]",
                                         "rejection.max_new_tokens=16",
                                         "rejection.slots=4",
                                         "rejection.chunk_prompts=1",
                                         "rejection.truncated=keep"};
    settings.insert(settings.end(), assignments.begin(), assignments.end());
    std::vector<std::string> words = {"rejection"};
    for (const std::string& setting : settings) {
      words.push_back("--set");
      words.push_back(setting);
    }
    return words;
  }

  std::vector<nlohmann::json> pool(const std::string& run) const {
    return json_lines(path(run + "/pool.jsonl"));
  }

  static std::vector<int> ids_of(const nlohmann::json& sample) {
    std::vector<int> ids = sample["prompt_ids"];
    for (const int id : sample["completion_ids"]) ids.push_back(id);
    return ids;
  }

  // What `cria score` says of the samples, one after the other in passes of the same size.
  std::vector<float> rewards(const std::string& model,
                             const std::vector<nlohmann::json>& samples) const {
    std::vector<std::string> lines;
    for (const nlohmann::json& sample : samples) {
      lines.push_back(nlohmann::json{{"input_ids", ids_of(sample)}}.dump());
    }
    write_lines(path("ids.jsonl"), lines);
    run_cria_well({"score", "--model", path(model), "--data", path("ids.jsonl"), "--output",
                   path("rewards.jsonl")});
    std::vector<float> rewards;
    for (const nlohmann::json& line : json_lines(path("rewards.jsonl"))) {
      rewards.push_back(line["reward"]);
    }
    return rewards;
  }

  // The run whose parts others must equal.
  void run_whole(const std::vector<std::string>& assignments = {}) const {
    run_cria_well(command("whole", assignments));
  }

  // Everything that is sampled, chosen and trained, to the bit.
  void expect_same(const std::string& run) const {
    for (const char* file : {"pool.jsonl", "selected.jsonl", "best_of_n.json", "samples.txt"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file;
    }
    expect_same_run(path("whole"), path(run), 4);
  }
};

}  // namespace cria::testing
