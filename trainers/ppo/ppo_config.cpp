#include "trainers/ppo/ppo_config.h"

namespace cria {

const std::string& PpoConfig::value_model_path() const {
  if (!ppo.value_model.empty()) return ppo.value_model;
  return ppo.helpfulness.empty() ? ppo.safety : ppo.helpfulness;
}

const std::string& PpoConfig::reference_path() const {
  return ppo.reference.empty() ? model.path : ppo.reference;
}

void declare(ConfigSchema& schema, PpoConfig& c) {
  declare(schema, static_cast<TrainConfig&>(c));

  schema.key("ppo.helpfulness", c.ppo.helpfulness, "reward model of helpfulness");
  schema.key("ppo.safety", c.ppo.safety, "reward model of safety; one of the two may be left out");
  schema.key("ppo.value_model", c.ppo.value_model,
             "where the value model starts; empty: the helpfulness model");
  schema.key("ppo.reference", c.ppo.reference,
             "the policy that the KL penalty holds on to; empty: model.path");
  schema.choice("ppo.reward_precision", c.ppo.reward_precision, {"fp32", "bf16"},
                "of the reward models");
  schema.choice("ppo.reference_precision", c.ppo.reference_precision, {"policy", "fp32", "bf16"},
                "policy: training.precision, and a KL that starts at exactly 0");

  schema.key("ppo.response_length", c.ppo.response_length, "longest answer, in tokens").at_least(1);
  schema.key("ppo.temperature", c.ppo.temperature, "of the samples and of all log-probabilities")
      .positive();
  schema.key("ppo.top_k", c.ppo.top_k, "only 0: answers are drawn from the whole distribution");
  schema.key("ppo.top_p", c.ppo.top_p, "only 1: answers are drawn from the whole distribution");
  schema.key("ppo.slots", c.ppo.slots, "answers that a rank decodes side by side").at_least(1);

  schema.key("ppo.num_ppo_epochs", c.ppo.num_ppo_epochs, "passes over the answers of an iteration")
      .at_least(1);
  schema
      .key("ppo.num_mini_batches", c.ppo.num_mini_batches,
           "optimizer steps in each of these passes")
      .at_least(1);
  schema.key("ppo.kl_coef", c.ppo.kl_coef, "beta, the weight of the KL penalty").at_least(0);
  schema.choice("ppo.kl_estimator", c.ppo.kl_estimator, {"k1", "k3"},
                "of the penalty of a token: d, or exp(-d) - 1 + d, with d = log pi - log pi_ref");
  schema
      .key("ppo.target_kl", c.ppo.target_kl,
           "KL of an answer that kl_coef is adapted to; null: kl_coef stays")
      .positive();
  schema.key("ppo.kl_horizon", c.ppo.kl_horizon, "answers over which kl_coef is adapted")
      .at_least(1);
  schema.key("ppo.cliprange", c.ppo.cliprange, "of the probability ratio").positive();
  schema.key("ppo.cliprange_value", c.ppo.cliprange_value, "of values around the old ones")
      .positive();
  schema.key("ppo.vf_coef", c.ppo.vf_coef, "weight of the value loss").positive();
  schema.key("ppo.gamma", c.ppo.gamma, "discount of later rewards").at_least(0).at_most(1);
  schema.key("ppo.lam", c.ppo.lam, "lambda of generalized advantage estimation")
      .at_least(0)
      .at_most(1);
  schema.key("ppo.whiten_scores", c.ppo.whiten_scores,
             "bring an iteration's scores to mean 0 and variance 1, as Llama 2 does");
  schema.key("ppo.whiten_rewards", c.ppo.whiten_rewards,
             "bring the tokens' rewards to variance 1, their mean kept, as TRL can do");
  schema
      .key("ppo.missing_eos_penalty", c.ppo.missing_eos_penalty,
           "taken from the score of an answer that does not end by itself")
      .at_least(0);

  schema
      .key("ppo.early_stopping_patience", c.ppo.early_stopping_patience,
           "stop after so many evaluations without a better reward; null: never")
      .at_least(1);
  schema
      .key("ppo.rollouts_to_write", c.ppo.rollouts_to_write,
           "answers of each iteration that rollouts/ keeps for people to read")
      .at_least(0);
}

void validate(const PpoConfig& config) {
  const auto& ppo = config.ppo;
  if (ppo.top_k != 0 || ppo.top_p != 1.0) {
    throw input_error(ppo.top_k != 0 ? "ppo.top_k" : "ppo.top_p",
                      "PPO needs the probabilities that the answers were drawn with, and those of "
                      "a cut distribution are not the policy's",
                      "leave top_k at 0 and top_p at 1; temperature is accounted for");
  }
  if (ppo.response_length >= config.data.max_length) {
    throw input_error("ppo.response_length",
                      fmt::format("{} tokens leave no room for a prompt in data.max_length {}",
                                  ppo.response_length, config.data.max_length));
  }
  if (config.data.over_long == "truncate") {
    throw input_error("data.over_long", "a prompt that is cut asks something else",
                      "drop those that are too long");
  }
  if (config.training.train_batch_size % ppo.num_mini_batches != 0) {
    throw input_error("ppo.num_mini_batches",
                      fmt::format("{} do not divide training.train_batch_size {}",
                                  ppo.num_mini_batches, config.training.train_batch_size));
  }
  if (config.training.train_batch_size < 2 && ppo.whiten_scores) {
    throw input_error("training.train_batch_size", "one score has no variance to whiten by",
                      "raise it or set ppo.whiten_scores: false");
  }
  if (ppo.early_stopping_patience && config.training.eval_steps == 0) {
    throw input_error("ppo.early_stopping_patience", "there are no evaluations",
                      "set training.eval_steps and data.eval");
  }
}

}  // namespace cria
