// The reward of an answer: from one reward model, or from a helpfulness and a safety model combined
// piecewise (Llama 2, section 3.2.3):
//
//   R_c(g | p) = R_s(g | p)   if the prompt is tagged safety, or sigma(R_s(g | p)) < 0.15
//                R_h(g | p)   otherwise
//
// in raw scores throughout: sigma(s) < 0.15 is s < logit(0.15) = -1.7346.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"
#include "cria/text/tokenizer.h"

#include "trainers/scorer.h"

namespace cria {

struct RewardModelOptions {
  std::string helpfulness;  // directories; one of the two may be empty
  std::string safety;
  std::string precision = "fp32";
  int64_t batch_tokens = 0;  // of a pass, as Scorer's
  std::string group;         // of the config keys that name the directories: ppo, rejection
};

// One answer with its prompt, to be scored at its last token.
struct Answer {
  Example sequence;               // prompt and answer, with the answer's eos where it has one
  bool is_safety_prompt = false;  // the prompt's category
};

struct AnswerScore {
  float combined = 0;     // R_c, a raw score
  float helpfulness = 0;  // R_h; 0 where there is no such model
  float safety = 0;       // R_s; 0 where there is no such model
};

// R_c of an answer.
float piecewise_reward(float helpfulness, float safety, bool is_safety_prompt);

class RewardModels {
 public:
  // Reads the configs. An input Error that names the key when neither directory is given, or when
  // one has no score head, another vocabulary or another tokenizer than `tokenizer`, which the
  // answers come from.
  RewardModels(const RewardModelOptions& options, Backend& backend, const Tokenizer& tokenizer);

  void reserve(Arena& arena);
  void load();  // after the arena's allocation

  // In the order of the answers; independent of what is scored together. Answers must be no longer
  // than max_length().
  std::vector<AnswerScore> score(std::span<const Answer> answers);

  // Of the weights and configs of the models, which is what for and the precision, so that a kept
  // score says what gave it. Reads the files when first asked for.
  const std::string& checksum();
  // The longest sequence that all models take.
  int64_t max_length() const;

 private:
  struct Part {
    Part(const std::string& directory, const RewardModelOptions& options, Backend& backend);

    std::string directory;
    ParameterLayout layout;
    Model model;
    Scorer scorer;
  };
  // Those that are given, the helpfulness model first.
  std::vector<Part*> parts() const;

  const std::string precision_;
  std::unique_ptr<Part> helpfulness_;
  std::unique_ptr<Part> safety_;
  std::string checksum_;  // empty: not asked for yet
};

// Every rank gives all answers, scores its share, and gets all scores.
std::vector<AnswerScore> score_over_ranks(std::span<const Answer> answers, RewardModels& models,
                                          Communicator& communicator);

}  // namespace cria
