#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "cria/core/error.h"
#include "cria/io/hugging_face.h"

#include "parameter_files.h"
#include "strict_json.h"

namespace cria {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kLanguageHead = "lm_head.weight";
constexpr const char* kScoreHead = "score.weight";

std::string index_of(const std::string& directory) {
  return directory + "/model.safetensors.index.json";
}

// Judged by the name: caches of downloaded models hold links to files elsewhere.
bool stays_inside(const fs::path& shard) {
  return !shard.empty() && shard.is_relative() &&
         std::find(shard.begin(), shard.end(), "..") == shard.end();
}

// The shard of every tensor, as the index says.
std::map<std::string, std::string> read_weight_map(const std::string& index_path) {
  const json index = read_json_file(index_path);
  const json map = index.is_object() ? index.value("weight_map", json()) : json();
  if (!map.is_object()) throw input_error(index_path, "has no weight_map");
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : map.items()) {
    if (!shard.is_string()) {
      throw input_error(index_path, "tensor " + quoted(name) + " has no file name");
    }
    if (!stays_inside(shard.get<std::string>())) {
      throw input_error(index_path, "shard " + quoted(shard) + " is outside the directory");
    }
    shards.emplace(name, shard.get<std::string>());
  }
  return shards;
}

// All tensors of a directory: one file, or shards with their index.
class WeightFiles {
 public:
  explicit WeightFiles(const std::string& directory) : directory_(directory) {
    const std::vector<std::string> paths = weight_files(directory);
    for (const std::string& path : paths) open(path);
    if (paths == std::vector<std::string>{directory + "/model.safetensors"}) return;
    for (const auto& [name, shard] : read_weight_map(index_of(directory))) {
      if (!find(name)) {
        throw input_error(index_of(directory),
                          fmt::format("tensor {} is not in {}", quoted(name), quoted(shard)));
      }
    }
  }

  const std::string& where() const { return directory_; }
  const std::map<std::string, const SafetensorsTensor*>& tensors() const { return tensors_; }
  const SafetensorsTensor* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

 private:
  void open(const std::string& path) {
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    for (const SafetensorsTensor& tensor : files_.back()->tensors()) {
      if (!tensors_.emplace(tensor.name, &tensor).second) {
        throw input_error(path, "tensor " + quoted(tensor.name) + " is in another shard too");
      }
    }
  }

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const SafetensorsTensor*> tensors_;
};

void check_tied_head(const WeightFiles& files, const SafetensorsTensor& head) {
  const SafetensorsTensor* embedding = files.find("model.embed_tokens.weight");
  const bool equal = embedding && embedding->dtype == head.dtype &&
                     embedding->shape == head.shape &&
                     std::memcmp(embedding->data, head.data, head.bytes) == 0;
  if (!equal) {
    throw input_error(files.where(),
                      "tie_word_embeddings is true, but lm_head.weight differs from "
                      "model.embed_tokens.weight",
                      "set tie_word_embeddings to false in config.json");
  }
}

void refuse(const WeightFiles& files, const char* what, const std::vector<std::string>& names,
            const char* remedy) {
  if (names.empty()) return;
  throw input_error(files.where(), fmt::format("{}: {}", what, listed(names)), remedy);
}

}  // namespace

std::vector<std::string> weight_files(const std::string& directory) {
  const std::string single = directory + "/model.safetensors";
  if (fs::exists(single)) return {single};
  if (!fs::exists(index_of(directory))) {
    throw input_error(directory, "has neither model.safetensors nor model.safetensors.index.json",
                      "other weight formats: convert them with transformers first");
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : read_weight_map(index_of(directory))) {
    shards.insert(directory + "/" + shard);
  }
  return {shards.begin(), shards.end()};
}

bool read_weights(const std::string& directory, ParameterSet& destination, Backend& backend,
                  MissingHead missing_head) {
  const WeightFiles files(directory);
  const ModelConfig& config = destination.layout().config();
  const bool any_head = missing_head == MissingHead::allow;
  const char* own_head = config.head == HeadKind::score ? kScoreHead : kLanguageHead;
  const char* other_head = config.head == HeadKind::score ? kLanguageHead : kScoreHead;

  std::set<std::string> wanted;
  std::vector<std::string> missing, misshapen, surplus;
  for (const NamedTensor& parameter : named_tensors(destination)) {
    wanted.insert(parameter.name);
    const SafetensorsTensor* found = files.find(parameter.name);
    if (!found) {
      if (!(any_head && parameter.name == own_head)) missing.push_back(parameter.name);
    } else if (found->shape != parameter.values.shape) {
      misshapen.push_back(fmt::format("{} {} instead of {}", parameter.name,
                                      found->shape.to_string(),
                                      parameter.values.shape.to_string()));
    }
  }
  for (const auto& [name, tensor] : files.tensors()) {
    const bool tied_head = name == kLanguageHead && config.tie_word_embeddings;
    if (tied_head) check_tied_head(files, *tensor);
    const bool tolerated = wanted.contains(name) || tied_head ||
                           name.ends_with("rotary_emb.inv_freq") ||
                           (any_head && name == other_head);
    if (!tolerated) surplus.push_back(quoted(name));
  }
  refuse(files, "tensors are missing", missing, "the model needs them");
  refuse(files, "tensors of another shape than config.json asks for", misshapen, "");
  refuse(files, "tensors that the model does not have", surplus, "is config.json of this model?");

  for (const NamedTensor& parameter : named_tensors(destination)) {
    const SafetensorsTensor* found = files.find(parameter.name);
    if (found) load_tensor(*found, parameter.values, backend);
  }
  backend.synchronize();  // the files are unmapped on return
  return !wanted.contains(own_head) || files.find(own_head) != nullptr;
}

}  // namespace cria
