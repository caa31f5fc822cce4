#include "cria/core/error.h"
#include "cria/io/hugging_face.h"

#include "model_config_json.h"
#include "parameter_files.h"

namespace cria {

namespace {

using nlohmann::json;

void write_json(const std::string& path, const json& contents) {
  const std::string text = contents.dump(2) + "\n";
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.close();
}

// Consecutive tensors up to max_bytes a shard; a larger tensor has a shard of its own.
std::vector<std::vector<NamedTensor>> split(const std::vector<NamedTensor>& tensors, DType storage,
                                            size_t max_bytes) {
  std::vector<std::vector<NamedTensor>> shards;
  size_t used = 0;
  for (const NamedTensor& tensor : tensors) {
    const size_t bytes = static_cast<size_t>(tensor.values.size()) * size_of(storage);
    if (shards.empty() || used + bytes > max_bytes) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(tensor);
    used += bytes;
  }
  return shards;
}

void write_shard(const std::string& path, const std::vector<NamedTensor>& tensors, DType storage,
                 Backend& backend) {
  std::vector<SafetensorsEntry> entries;
  for (const NamedTensor& tensor : tensors) {
    entries.push_back({tensor.name, storage, tensor.values.shape});
  }
  SafetensorsWriter writer(path, entries);
  for (const NamedTensor& tensor : tensors) store_tensor(tensor.values, storage, writer, backend);
  writer.finish();
}

void write_weights(const std::string& directory, const ParameterSet& weights, Backend& backend,
                   DType storage, size_t max_shard_bytes) {
  const auto shards = split(named_tensors(weights), storage, max_shard_bytes);
  if (shards.size() == 1) {
    write_shard(directory + "/model.safetensors", shards[0], storage, backend);
    return;
  }
  const int64_t parameters = weights.layout().parameter_count();
  json index = {{"metadata",
                 {{"total_parameters", parameters},
                  {"total_size", parameters * static_cast<int64_t>(size_of(storage))}}}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const NamedTensor& tensor : shards[i]) index["weight_map"][tensor.name] = name;
    write_shard(directory + "/" + name, shards[i], storage, backend);
  }
  write_json(directory + "/model.safetensors.index.json", index);
}

}  // namespace

void write_model(const std::string& directory, const ModelConfig& config,
                 const ParameterSet& weights, Backend& backend, DType storage,
                 size_t max_shard_bytes) {
  const json described = model_config_json(config, storage);
  write_json(directory + "/config.json", described);
  if (config.head == HeadKind::language) {
    json generation = {{"_from_model_config", true}};
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      if (!described[key].is_null()) generation[key] = described[key];
    }
    write_json(directory + "/generation_config.json", generation);
  }
  write_weights(directory, weights, backend, storage, max_shard_bytes);
}

}  // namespace cria
