// What each stage of a run of iterations was made from and what it made, with SHA-256 checksums:
// ledger.json, in the order in which the stages began.
//
//   {"stages": [{"stage": "V1/rejection", "done": true,
//                "inputs": {"model.path": {"path": "runs/sft/final", "sha256": "…"}, …},
//                "outputs": {"runs/rlhf/V1/rejection/final": "…"}}, …]}
//
// A stage that is done is not done again, and counts as done only as long as everything it was made
// from and made is what it was then. A stage whose directory is gone was never begun.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cria {

// A file or a model's directory, by what it is for: a config key, or a few words.
using StageInputs = std::vector<std::pair<std::string, std::string>>;

struct StageFiles {
  std::string name;                  // V1/rejection
  std::string directory;             // all that it writes is there
  StageInputs inputs;                // read only
  std::vector<std::string> outputs;  // files or models' directories
};

// Of a file's bytes; of a model's directory its config, weights and tokenizer. An input Error when
// it is not there.
std::string checksum_of(const std::string& path);

class Ledger {
 public:
  // Reads what is there. An input Error when the file is no ledger.
  explicit Ledger(std::string path);

  // Whether the stage is done; else notes that it begins. An input Error names what has changed
  // since the stage began, or since it was done.
  bool is_done(const StageFiles& stage);
  // After its last output is there.
  void finish(const StageFiles& stage);

 private:
  nlohmann::ordered_json* find(const std::string& stage);
  void check(const StageFiles& stage, const nlohmann::ordered_json& entry);
  const std::string& checksum(const std::string& path);
  void write() const;

  const std::string path_;
  nlohmann::ordered_json stages_ = nlohmann::ordered_json::array();
  std::map<std::string, std::string> checksums_;  // of what no stage writes any more
};

}  // namespace cria
