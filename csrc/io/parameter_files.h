// Parameter sets to and from safetensors files: what weights and optimizer moments share.
#pragma once

#include <string>
#include <vector>

#include "cria/io/safetensors.h"
#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

// Copies a tensor of a file into a parameter of the same size, converted to its dtype.
void load_tensor(const SafetensorsTensor& source, Tensor destination, Backend& backend);

// Writes a parameter's elements as `storage`.
void store_tensor(Tensor source, DType storage, SafetensorsWriter& writer, Backend& backend);

// One parameter of a set under its name.
struct NamedTensor {
  std::string name;
  Tensor values;
};

// All parameters in the order of the layout, each name after `prefix`.
std::vector<NamedTensor> named_tensors(const ParameterSet& set, const std::string& prefix = "");

}  // namespace cria
