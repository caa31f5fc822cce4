// A model that takes turns with a Learner's on its pass buffers, but is never trained: the
// reference of DPO.
#pragma once

#include <string>

#include "cria/io/hugging_face.h"

#include "trainers/pass_buffers.h"

namespace cria {

class FrozenModel {
 public:
  FrozenModel(const std::string& directory, DType precision, Backend& backend)
      : directory_(directory),
        layout_(read_model_config(directory)),
        model_(layout_, precision, backend) {}

  void reserve(Arena& arena, PassBuffers& passes) {
    model_.reserve(arena, /*training=*/true);  // the products of the trained model, to the bit
    passes.reserve(arena, model_);
  }
  // After the arena's allocation.
  void load() {
    model_.prepare();
    read_weights(directory_, model_.weights, model_.backend());
    model_.weights_changed();
  }

  const Model& model() const { return model_; }

 private:
  std::string directory_;
  ParameterLayout layout_;
  Model model_;
};

}  // namespace cria
