#include "trainers/answer_engine.h"

#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"

namespace cria {

AnswerEngine::AnswerEngine(std::string directory, const std::string& precision,
                           const GeneratorOptions& options, Backend& backend)
    : directory_(std::move(directory)),
      layout_(read_model_config(directory_)),
      model_(layout_, dtype_of_precision(precision), backend),
      generator_(model_, options) {}

void AnswerEngine::reserve(Arena& arena) {
  model_.reserve(arena, /*training=*/false);
  generator_.reserve(arena);
}

void AnswerEngine::load() {
  model_.prepare();
  read_weights(directory_, model_.weights, model_.backend());
  model_.weights_changed();
}

}  // namespace cria
