#include "model_config_json.h"

#include <cmath>
#include <optional>

#include "cria/core/error.h"
#include "cria/io/hugging_face.h"

#include "strict_json.h"

namespace cria {

namespace {

using nlohmann::json;

constexpr int64_t kMaxSize = INT32_MAX;  // keeps every product of two sizes within int64
constexpr int64_t kMaxLayers = 10'000;
constexpr const char* kOneScore =
    "cria reads reward and value models: LlamaForSequenceClassification with num_labels 1";

// Typed access to the keys of one object; null counts as absent, as in transformers.
class ConfigReader {
 public:
  ConfigReader(const std::string& path, const json& object) : path_(path), object_(object) {}

  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  Error error(const char* key, const std::string& problem, const std::string& remedy = {}) const {
    return input_error(path_, fmt::format("{} {}", key, problem), remedy);
  }

  int64_t size(const char* key, std::optional<int64_t> absent = {},
               int64_t largest = kMaxSize) const {
    const json* value = find(key);
    if (!value && absent) return *absent;
    if (!value) throw error(key, "is missing");
    if (!value->is_number_unsigned() || value->get<uint64_t>() < 1 ||
        value->get<uint64_t>() > static_cast<uint64_t>(largest)) {
      throw error(key, "is " + value->dump(),
                  fmt::format("it must be a whole number from 1 to {}", largest));
    }
    return value->get<int64_t>();
  }

  double number(const char* key, double absent) const {
    const json* value = find(key);
    if (!value) return absent;
    if (!value->is_number()) throw error(key, "is " + value->dump(), "it must be a number");
    return value->get<double>();
  }

  bool boolean(const char* key, bool absent) const {
    const json* value = find(key);
    if (!value) return absent;
    if (!value->is_boolean()) throw error(key, "is " + value->dump(), "it must be true or false");
    return value->get<bool>();
  }

  // A token id, or -1 where there is none: null, and -1 as old Llama conversions wrote it. A list
  // of one id is that id.
  int token(const char* key, int absent, int64_t vocab_size) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return absent;
    const json& value = found->is_array() && found->size() == 1 ? (*found)[0] : *found;
    if (value.is_null() || value == -1) return -1;
    if (value.is_array()) throw error(key, "is " + value.dump(), "cria stops at one id: keep one");
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(vocab_size)) {
      throw error(key, "is " + value.dump(),
                  fmt::format("it must be an id below vocab_size {}", vocab_size));
    }
    return value.get<int>();
  }

  // Keys that cria has one value for. Absent is that value.
  void only(const char* key, const json& supported) const {
    const json* value = find(key);
    if (value && *value != supported) {
      throw error(key, "is " + value->dump(), fmt::format("cria does {} only", supported.dump()));
    }
  }

  void absent(const char* key) const {
    if (const json* value = find(key)) {
      throw error(key, "is " + value->dump(), "cria does not do that");
    }
  }

 private:
  const std::string& path_;
  const json& object_;
};

HeadKind read_head(const ConfigReader& reader) {
  const json* architectures = reader.find("architectures");
  if (!architectures) return HeadKind::language;
  if (*architectures == json{"LlamaForCausalLM"}) return HeadKind::language;
  if (*architectures != json{"LlamaForSequenceClassification"}) {
    throw reader.error("architectures", "is " + architectures->dump(),
                       "cria reads LlamaForCausalLM and LlamaForSequenceClassification");
  }
  const json* labels = reader.find("id2label");
  if (labels && labels->is_object() && labels->size() != 1) {
    throw reader.error("id2label", fmt::format("has {} labels", labels->size()), kOneScore);
  }
  if (reader.size("num_labels", labels ? 1 : 2) != 1) {
    throw reader.error("num_labels", "is not 1", kOneScore);
  }
  return HeadKind::score;
}

// rope_theta stands at the top level, or (transformers 5) in rope_parameters. rope_scaling is the
// older name of what rope_parameters now also holds.
double read_rope_theta(const std::string& path, const ConfigReader& reader) {
  constexpr double kDefault = 10000.0;  // of LlamaConfig
  const double top = reader.number("rope_theta", kDefault);
  double theta = top;
  for (const char* group : {"rope_scaling", "rope_parameters"}) {
    const json* parameters = reader.find(group);
    if (!parameters) continue;
    const std::string type_key = parameters->is_object() && parameters->contains("type") &&
                                         !parameters->contains("rope_type")
                                     ? "type"
                                     : "rope_type";
    if (!parameters->is_object() || parameters->value(type_key, json("default")) != "default") {
      throw reader.error(group, "is " + parameters->dump(),
                         "cria does rotary embedding without scaling only (rope_type default)");
    }
    for (const auto& [key, value] : parameters->items()) {
      if (key == type_key || key == "rope_theta" || value.is_null()) continue;
      if (key == "type" && value == "default") continue;
      if (key == "partial_rotary_factor" && value == 1.0) continue;
      throw reader.error(group, fmt::format("has {}: {}", quoted(key), value.dump()),
                         "cria does not do that");
    }
    theta = ConfigReader(path, *parameters).number("rope_theta", theta);
  }
  if (reader.find("rope_theta") && theta != top) {
    throw reader.error("rope_theta",
                       fmt::format("is {} at the top level and {} in rope_parameters", top, theta),
                       "keep the one that the model was trained with");
  }
  return theta;
}

void refuse_unsupported(const ConfigReader& reader) {
  reader.only("model_type", "llama");
  reader.only("hidden_act", "silu");
  reader.only("attention_bias", false);
  reader.only("mlp_bias", false);
  reader.only("attention_dropout", 0.0);
  reader.only("partial_rotary_factor", 1.0);
  reader.absent("sliding_window");
  reader.absent("quantization_config");
}

}  // namespace

ModelConfig parse_model_config(const std::string& path, const json& object) {
  if (!object.is_object()) throw input_error(path, "is not a JSON object");
  const ConfigReader reader(path, object);
  refuse_unsupported(reader);
  ModelConfig config;
  config.vocab_size = reader.size("vocab_size");
  config.hidden_size = reader.size("hidden_size");
  config.intermediate_size = reader.size("intermediate_size");
  config.num_hidden_layers = static_cast<int>(reader.size("num_hidden_layers", {}, kMaxLayers));
  config.num_attention_heads = static_cast<int>(reader.size("num_attention_heads"));
  config.num_key_value_heads =
      static_cast<int>(reader.size("num_key_value_heads", config.num_attention_heads));
  if (!reader.find("head_dim") && config.hidden_size % config.num_attention_heads != 0) {
    throw reader.error("num_attention_heads",
                       fmt::format("{} does not divide hidden_size {}", config.num_attention_heads,
                                   config.hidden_size),
                       "give head_dim");
  }
  config.head_dim = static_cast<int>(
      reader.size("head_dim", std::max<int64_t>(1, config.hidden_size / config.num_attention_heads),
                  kMaxSize / config.num_attention_heads));
  config.max_position_embeddings = reader.size("max_position_embeddings", 2048);
  config.rms_norm_eps = static_cast<float>(reader.number("rms_norm_eps", 1e-6));
  config.rope_theta = read_rope_theta(path, reader);
  config.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);
  config.initializer_range = static_cast<float>(reader.number("initializer_range", 0.02));
  config.bos_token_id = reader.token("bos_token_id", 1, config.vocab_size);
  config.eos_token_id = reader.token("eos_token_id", 2, config.vocab_size);
  config.pad_token_id = reader.token("pad_token_id", -1, config.vocab_size);
  config.head = read_head(reader);
  validate(config, path.c_str());
  return config;
}

namespace {

// A float as the decimal that a reader of config.json expects: 1e-05, not 9.99999974e-06.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

json token_or_null(int id) { return id < 0 ? json() : json(id); }

}  // namespace

json model_config_json(const ModelConfig& config, DType storage) {
  const bool language = config.head == HeadKind::language;
  json out = {
      {"architectures", {language ? "LlamaForCausalLM" : "LlamaForSequenceClassification"}},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"bos_token_id", token_or_null(config.bos_token_id)},
      {"dtype", storage == DType::bf16 ? "bfloat16" : "float32"},
      {"eos_token_id", token_or_null(config.eos_token_id)},
      {"head_dim", config.head_dim},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"initializer_range", shortest(config.initializer_range)},
      {"intermediate_size", config.intermediate_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"mlp_bias", false},
      {"model_type", "llama"},
      {"num_attention_heads", config.num_attention_heads},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_key_value_heads", config.num_key_value_heads},
      {"pad_token_id", token_or_null(config.pad_token_id)},
      {"pretraining_tp", 1},
      {"rms_norm_eps", shortest(config.rms_norm_eps)},
      {"rope_parameters", {{"rope_theta", config.rope_theta}, {"rope_type", "default"}}},
      {"rope_theta", config.rope_theta},  // for transformers 4
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"use_cache", true},
      {"vocab_size", config.vocab_size},
  };
  if (!language) {
    out["id2label"] = {{"0", "LABEL_0"}};
    out["label2id"] = {{"LABEL_0", 0}};
    out["num_labels"] = 1;
  }
  return out;
}

std::vector<std::string> config_differences(const ModelConfig& found, const ModelConfig& wanted) {
  const json a = model_config_json(found, DType::f32);
  const json b = model_config_json(wanted, DType::f32);
  std::vector<std::string> differences;
  for (const auto& [key, value] : a.items()) {
    const json other = b.value(key, json());
    if (value != other && key != "rope_parameters") {
      differences.push_back(fmt::format("{} {} instead of {}", key, value.dump(), other.dump()));
    }
  }
  return differences;
}

ModelConfig read_model_config(const std::string& directory) {
  const std::string path = directory + "/config.json";
  return parse_model_config(path, read_json_file(path));
}

}  // namespace cria
