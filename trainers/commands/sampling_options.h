// Options that the commands which sample from a model have in common.
#pragma once

#include <CLI/CLI.hpp>

#include "cria/generate/generator.h"

namespace cria {

inline void add_sampling_options(CLI::App& command, SamplingSettings& settings, uint64_t& seed) {
  command.add_option("--max-new-tokens", settings.max_new_tokens, "longest answer")
      ->capture_default_str();
  command.add_option("--temperature", settings.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", settings.top_k, "draw from the k likeliest tokens; 0: from all")
      ->capture_default_str();
  command
      .add_option("--top-p", settings.top_p,
                  "draw from the fewest tokens that reach this probability")
      ->capture_default_str();
  command.add_option("--seed", seed, "of the draws")->capture_default_str();
}

}  // namespace cria
