#include "cria/io/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "cria/core/error.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/hugging_face.h"

#include "model_config_json.h"
#include "parameter_files.h"
#include "strict_json.h"

namespace cria {

namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "checkpoint-";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStateFile = "trainer_state.json";

std::string folder_of(const std::string& checkpoint, const CheckpointModel& model) {
  return model.folder.empty() ? checkpoint : checkpoint + "/" + model.folder;
}

std::vector<NamedTensor> moments(const CheckpointModel& model) {
  std::vector<NamedTensor> tensors = named_tensors(*model.first_moment, "first_moment.");
  const std::vector<NamedTensor> second = named_tensors(*model.second_moment, "second_moment.");
  tensors.insert(tensors.end(), second.begin(), second.end());
  return tensors;
}

void write_moments(const std::string& path, const CheckpointModel& model, Backend& backend) {
  const std::vector<NamedTensor> tensors = moments(model);
  std::vector<SafetensorsEntry> entries;
  for (const NamedTensor& tensor : tensors) {
    entries.push_back({tensor.name, tensor.values.dtype, tensor.values.shape});
  }
  SafetensorsWriter writer(path, entries);
  for (const NamedTensor& tensor : tensors) {
    store_tensor(tensor.values, tensor.values.dtype, writer, backend);
  }
  writer.finish();
}

void read_moments(const std::string& path, const CheckpointModel& model, Backend& backend) {
  const SafetensorsFile file(path);
  const std::vector<NamedTensor> tensors = moments(model);
  for (const NamedTensor& tensor : tensors) {
    const SafetensorsTensor* found = file.find(tensor.name);
    if (!found) throw input_error(path, fmt::format("tensor {} is missing", tensor.name));
    if (found->shape != tensor.values.shape) {
      throw input_error(path,
                        fmt::format("tensor {} is {}, the model's is {}", tensor.name,
                                    found->shape.to_string(), tensor.values.shape.to_string()));
    }
    if (found->dtype != tensor.values.dtype) {
      throw input_error(path,
                        fmt::format("tensor {} is {}, this run keeps moments in {}", tensor.name,
                                    name_of(found->dtype), name_of(tensor.values.dtype)),
                        "resume with the moment_dtype of the checkpoint");
    }
  }
  if (file.tensors().size() != tensors.size()) {
    throw input_error(
        path, fmt::format("{} tensors instead of {}", file.tensors().size(), tensors.size()));
  }
  for (const NamedTensor& tensor : tensors) {
    load_tensor(*file.find(tensor.name), tensor.values, backend);
  }
  backend.synchronize();  // the file is unmapped on return
}

void check_config(const std::string& directory, const ParameterSet& weights) {
  const std::string path = directory + "/config.json";
  const nlohmann::json found = read_json_file(path);
  const std::vector<std::string> differences =
      config_differences(parse_model_config(path, found), weights.layout().config());
  if (!differences.empty()) {
    throw input_error(directory, "a checkpoint of another model: " + listed(differences),
                      "resume with the model that the run began with, or set checkpoint.resume: "
                      "none and another training.output_dir");
  }
  const nlohmann::json dtype =
      model_config_json(weights.layout().config(), weights.dtype())["dtype"];
  if (found.value("dtype", nlohmann::json()) != dtype) {
    throw input_error(
        path, fmt::format("dtype is not {}, in which this run keeps its weights", dtype.dump()),
        "resume with the training.precision of the checkpoint");
  }
}

// N of checkpoint-N; nothing for other names.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kName)) return {};
  const char* begin = name.data() + std::string(kName).size();
  const char* end = name.data() + name.size();
  int64_t step = 0;
  const auto [stop, code] = std::from_chars(begin, end, step);
  if (code != std::errc() || stop != end || step < 0) return {};
  return step;
}

struct FoundCheckpoint {
  int64_t step;
  std::string path;
};

// Newest first.
std::vector<FoundCheckpoint> find_checkpoints(const std::string& output_dir) {
  std::vector<FoundCheckpoint> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir, error)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory()) found.push_back({*step, entry.path().string()});
  }
  std::sort(found.begin(), found.end(),
            [](const FoundCheckpoint& a, const FoundCheckpoint& b) { return a.step > b.step; });
  return found;
}

// Checkpoints come into being whole; this sees one that was half copied or half deleted by hand.
bool has_all_files(const std::string& checkpoint) {
  const auto has = [&](const char* name) { return fs::exists(checkpoint + "/" + name); };
  return has(kStateFile) && has(kOptimizerFile) && has("config.json") &&
         (has("model.safetensors") || has("model.safetensors.index.json"));
}

}  // namespace

void save_checkpoint(const std::string& output_dir, int64_t step, int keep,
                     const CheckpointContents& contents, Backend& backend) {
  const std::string name = fmt::format("{}{}", kName, step);
  clean_leftovers(output_dir, kName);
  AtomicDirectory directory(output_dir + "/" + name);
  for (const CheckpointModel& model : contents.models) {
    const std::string folder = folder_of(directory.path(), model);
    fs::create_directories(folder);
    write_model(folder, model.weights->layout().config(), *model.weights, backend,
                model.weights->dtype());
    write_tokenizer(folder, contents.tokenizer_model);
    write_moments(folder + "/" + kOptimizerFile, model, backend);
  }
  const std::string state = contents.trainer_state.dump(2) + "\n";
  OutputFile file(directory.path() + "/" + kStateFile);
  file.write(state.data(), state.size());
  file.close();
  directory.commit();

  if (keep == 0) return;
  // Checkpoints after this step belong to an earlier course of the run: they are not counted.
  int kept = 0;
  for (const FoundCheckpoint& found : find_checkpoints(output_dir)) {
    if (found.step <= step && ++kept > keep) remove_directory_atomically(found.path);
  }
}

std::optional<std::string> latest_checkpoint(const std::string& output_dir) {
  for (const FoundCheckpoint& found : find_checkpoints(output_dir)) {
    if (has_all_files(found.path)) return found.path;
  }
  return {};
}

nlohmann::json read_trainer_state(const std::string& checkpoint) {
  return read_json_file(checkpoint + "/" + kStateFile);
}

void load_checkpoint(const std::string& checkpoint, const std::vector<CheckpointModel>& models,
                     Backend& backend) {
  for (const CheckpointModel& model : models) {
    const std::string folder = folder_of(checkpoint, model);
    check_config(folder, *model.weights);
    read_weights(folder, *model.weights, backend);
    read_moments(folder + "/" + kOptimizerFile, model, backend);
  }
}

}  // namespace cria
