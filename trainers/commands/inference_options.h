// Options that the commands which run a model have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>

#include "trainers/pretrained_model.h"

namespace cria {

inline void add_inference_options(CLI::App& command, std::string& model,
                                  InferenceOptions& options) {
  command.add_option("--model", model, "Hugging Face directory")->required();
  command.add_option("--device", options.device, "auto, cpu, cuda or emulated")
      ->capture_default_str();
  command.add_option("--precision", options.precision, "fp32 or bf16")->capture_default_str();
}

// A JSON list of numbers, each in the fewest digits that give the same float again.
inline std::string json_list(std::span<const float> numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

}  // namespace cria
