// cria inspect: what a model, a checkpoint, a tokenizer, a safetensors or a data file holds.
// cria inspect data: statistics of data files as training sees them.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cria/data/example_builder.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/checkpoint.h"
#include "cria/io/hugging_face.h"
#include "cria/io/safetensors.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/example_file_options.h"
#include "trainers/data_statistics.h"

namespace cria {

namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  std::string path;
  std::string tokenizer;
};

struct InspectDataOptions {
  std::vector<std::string> data;
  std::string tokenizer;
  std::string output;
  ExampleFileOptions examples;
};

void print_tensors(const std::string& path) {
  const SafetensorsFile file(path);
  size_t bytes = 0;
  for (const SafetensorsTensor& tensor : file.tensors()) bytes += tensor.bytes;
  fmt::print("{}: {} tensors, {}\n", path, file.tensors().size(), format_bytes(bytes));
  for (const SafetensorsTensor& tensor : file.tensors()) {
    fmt::print("  {:<52} {:<5} {}\n", tensor.name, name_of(tensor.dtype), tensor.shape.to_string());
  }
}

void print_config(const ModelConfig& c) {
  const auto line = [](const char* key, const auto& value) {
    fmt::print("  {:<24} {}\n", key, value);
  };
  line("head", c.head == HeadKind::language ? "language" : "score");
  line("vocab_size", c.vocab_size);
  line("hidden_size", c.hidden_size);
  line("intermediate_size", c.intermediate_size);
  line("num_hidden_layers", c.num_hidden_layers);
  line("num_attention_heads", c.num_attention_heads);
  line("num_key_value_heads", c.num_key_value_heads);
  line("head_dim", c.head_dim);
  line("max_position_embeddings", c.max_position_embeddings);
  line("rms_norm_eps", c.rms_norm_eps);
  line("rope_theta", c.rope_theta);
  line("tie_word_embeddings", c.tie_word_embeddings);
  line("bos_token_id", c.bos_token_id);
  line("eos_token_id", c.eos_token_id);
  line("parameters", ParameterLayout(c).parameter_count());
}

// Texts, such as the run's config, as they are.
void print_state(const std::string& key, const nlohmann::json& value) {
  if (value.is_string()) {
    fmt::print("  {}:\n{}\n", key, value.get_ref<const std::string&>());
  } else {
    fmt::print("  {:<24} {}\n", key, value.dump());
  }
}

void inspect_directory(const std::string& path) {
  if (!fs::exists(path + "/config.json")) {
    throw input_error(path, "holds no config.json",
                      "give a model, a checkpoint or a file; runs hold checkpoint-N and final");
  }
  if (fs::exists(path + "/trainer_state.json")) {
    const nlohmann::json state = read_trainer_state(path);
    fmt::print("{}: checkpoint\n", path);
    for (const auto& [key, value] : state.items()) print_state(key, value);
  }
  fmt::print("{}: model\n", path);
  print_config(read_model_config(path));
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) print_tensors(file);
}

void inspect_tokenizer(const std::string& path) {
  const Tokenizer tokenizer(path);
  fmt::print("{}: {} pieces, unk {}, bos {}, eos {}, pad {}\n", path, tokenizer.vocab_size(),
             tokenizer.unk_id(), tokenizer.bos_id(), tokenizer.eos_id(),
             tokenizer.pad_id() < 0 ? "none" : fmt::format("{}", tokenizer.pad_id()));
}

// All tokens of a record, whether there is something to learn in it or not.
size_t token_count(const Record& record, const Tokenizer& tokenizer) {
  const auto* tokens = std::get_if<Tokens>(&record.content);
  return tokens ? tokens->ids.size() : document_tokens(record, {}, tokenizer).size();
}

void print_lengths(std::vector<size_t> lengths) {
  if (lengths.empty()) return;
  std::sort(lengths.begin(), lengths.end());
  const size_t total = std::accumulate(lengths.begin(), lengths.end(), size_t{0});
  const auto quantile = [&](double share) {
    return lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  fmt::print("  {} tokens; a record has {} to {}, mean {:.1f}, median {}, 95% have at most {}\n",
             total, lengths.front(), lengths.back(),
             static_cast<double>(total) / static_cast<double>(lengths.size()), quantile(0.5),
             quantile(0.95));
}

void inspect_data(const InspectOptions& options) {
  constexpr const char* kForms[] = {"texts", "prompts with completion", "dialogues", "tokenized"};
  int64_t counts[std::variant_size_v<decltype(Record::content)>] = {};
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) tokenizer = std::make_unique<Tokenizer>(options.tokenizer);
  std::vector<size_t> lengths;
  RecordReader reader(options.path);
  for (Record record; reader.next(record);) {
    ++counts[record.content.index()];
    if (tokenizer) lengths.push_back(token_count(record, *tokenizer));
  }
  fmt::print("{}: {} records\n", options.path,
             std::accumulate(std::begin(counts), std::end(counts), int64_t{0}));
  for (size_t form = 0; form < std::size(counts); ++form) {
    if (counts[form] > 0) fmt::print("  {:<24} {}\n", kForms[form], counts[form]);
  }
  print_lengths(std::move(lengths));
}

void run(const InspectDataOptions& options) {
  const DataStatistics statistics =
      read_data_statistics(options.data, example_options(options.examples),
                           options.examples.skip_bad_lines, Tokenizer(options.tokenizer));
  fmt::print("{}", table(statistics));
  if (options.output.empty()) return;
  write_file_atomically(options.output, to_json(statistics).dump(2) + "\n");
}

void run(const InspectOptions& options) {
  if (options.path.empty())
    throw input_error("inspect", "nothing to look at", "give a path or data");
  const fs::path path(options.path);
  if (!fs::exists(path)) throw input_error(options.path, "does not exist");
  if (fs::is_directory(path)) return inspect_directory(options.path);
  if (path.extension() == ".safetensors") return print_tensors(options.path);
  if (path.extension() == ".model") return inspect_tokenizer(options.path);
  inspect_data(options);
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "inspect", "what a model, checkpoint, tokenizer.model, safetensors or data file holds");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("path", options->path, "directory or file");
  command->add_option("--tokenizer", options->tokenizer, "tokenizer.model to count tokens with");
  CLI::App* data = command->add_subcommand(
      "data", "turns and tokens of dialogues or preferences, by source, and what is left out");
  command->callback([options, data] {
    if (!data->parsed()) run(*options);
  });
  auto data_options = std::make_shared<InspectDataOptions>();
  data->add_option("--data", data_options->data, "files, all of preferences or none")->required();
  data->add_option("--tokenizer", data_options->tokenizer, "tokenizer.model")->required();
  data->add_option("--output", data_options->output, "the figures as JSON");
  data->add_option("--max-length", data_options->examples.max_length, "longest example")
      ->capture_default_str();
  add_record_options(*data, data_options->examples);
  data->callback([data_options] { run(*data_options); });
}

}  // namespace cria
