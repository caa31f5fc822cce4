// transformers builds its LlamaTokenizer from tokenizer.model with a Metaspace step that adds no
// dummy prefix to text which begins with a space; SentencePiece does. tokenizer.json says exactly
// what SentencePiece does, and PreTrainedTokenizerFast takes it as it is, so the ids agree.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "cria/core/error.h"
#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "sentencepiece_model.h"

namespace cria {

namespace {

using nlohmann::json;

constexpr const char* kWhere = "tokenizer.model";
constexpr const char* kSpaceMark = "\u2581";

// Meta's llama/generation.py, chat_completion.
constexpr const char* kChatTemplate =
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}"
    "{% set system = '' %}"
    "{% set turns = messages %}"
    "{% endif %}"
    "{% for turn in turns %}"
    "{% if turn['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}"
    "{{ raise_exception('roles must be user and assistant in turns, after an optional system') }}"
    "{% endif %}"
    "{% if turn['role'] == 'user' %}"
    "{% set content = (system if loop.first else '') + turn['content'] %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}"
    "{{ ' ' + turn['content'].strip() + ' ' + eos_token }}"
    "{% endif %}"
    "{% endfor %}";

void require_llama_kind(const SentencePieceModel& model) {
  const auto demand = [](bool holds, const char* problem) {
    if (holds) return;
    throw input_error(kWhere, problem,
                      "cria writes tokenizers of Llama's kind, as 'cria tokenizer' trains them");
  };
  demand(model.is_bpe, "its model_type is not bpe");
  demand(model.is_identity, "it normalises text (normalization_rule_name is not identity)");
  demand(!model.remove_extra_whitespaces, "it removes extra spaces");
  demand(model.escape_whitespaces, "it does not escape spaces");
  const int count = static_cast<int>(model.pieces.size());
  for (const int id : {model.unk_id, model.bos_id, model.eos_id}) {
    demand(id >= 0 && id < count, "it has no unk, bos or eos");
  }
  for (const SentencePiecePiece& piece : model.pieces) {
    demand(piece.kind != PieceKind::user_defined, "it has user-defined symbols");
    demand(piece.kind != PieceKind::unused, "it has unused pieces");
  }
}

// SentencePiece joins the two neighbours whose joined piece scores highest. As a list of merges:
// each piece, best first, split everywhere into two pieces.
json merges(const SentencePieceModel& model) {
  std::unordered_map<std::string_view, size_t> ids;
  std::vector<const SentencePiecePiece*> order;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiecePiece& piece = model.pieces[id];
    if (piece.kind != PieceKind::normal) continue;
    ids[piece.text] = id;
    order.push_back(&piece);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->score > b->score; });
  json list = json::array();
  for (const SentencePiecePiece* piece : order) {
    const std::string_view text = piece->text;
    std::vector<std::pair<size_t, size_t>> splits;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = ids.find(text.substr(0, cut));
      const auto right = ids.find(text.substr(cut));
      if (left != ids.end() && right != ids.end()) splits.emplace_back(left->second, right->second);
    }
    std::sort(splits.begin(), splits.end());
    for (const auto& [left, right] : splits) {
      list.push_back({model.pieces[left].text, model.pieces[right].text});
    }
  }
  return list;
}

json replace(const std::string& from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

// `steps` in a row.
json sequence(const char* key, const json& steps) { return {{"type", "Sequence"}, {key, steps}}; }

// bos before each text.
json post_processor(const std::string& bos, int bos_id) {
  const auto special = [&](int type) {
    return json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto text = [](const char* id, int type) {
    return json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  const json tokens = {
      {bos, {{"id", bos}, {"ids", json::array({bos_id})}, {"tokens", json::array({bos})}}}};
  return {{"type", "TemplateProcessing"},
          {"single", json::array({special(0), text("A", 0)})},
          {"pair", json::array({special(0), text("A", 0), special(1), text("B", 1)})},
          {"special_tokens", tokens}};
}

json tokenizer_json(const SentencePieceModel& model) {
  json vocabulary = json::object();
  json added = json::array();
  bool byte_fallback = false;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiecePiece& piece = model.pieces[id];
    vocabulary[piece.text] = id;
    byte_fallback |= piece.kind == PieceKind::byte;
    if (piece.kind != PieceKind::control && piece.kind != PieceKind::unknown) continue;
    added.push_back({{"id", id},
                     {"content", piece.text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  json normalizers = json::array();
  json decoders =
      json::array({replace(kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (model.add_dummy_prefix) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back(replace(" ", kSpaceMark));
  const auto& pieces = model.pieces;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", sequence("normalizers", normalizers)},
          {"pre_tokenizer", nullptr},
          {"post_processor",
           post_processor(pieces[static_cast<size_t>(model.bos_id)].text, model.bos_id)},
          {"decoder", sequence("decoders", decoders)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", pieces[static_cast<size_t>(model.unk_id)].text},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", true},
            {"byte_fallback", byte_fallback},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", merges(model)}}}};
}

void write_text(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.close();
}

}  // namespace

void write_tokenizer(const std::string& directory, const std::string& tokenizer_model) {
  const SentencePieceModel model = parse_sentencepiece_model(kWhere, tokenizer_model);
  require_llama_kind(model);
  const json special = {{"bos_token", model.pieces[static_cast<size_t>(model.bos_id)].text},
                        {"eos_token", model.pieces[static_cast<size_t>(model.eos_id)].text},
                        {"unk_token", model.pieces[static_cast<size_t>(model.unk_id)].text}};
  json config = special;
  config["add_bos_token"] = true;
  config["add_eos_token"] = false;
  config["clean_up_tokenization_spaces"] = false;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["chat_template"] = kChatTemplate;
  write_text(directory + "/tokenizer.model", tokenizer_model);
  write_text(directory + "/tokenizer.json", tokenizer_json(model).dump() + "\n");
  write_text(directory + "/tokenizer_config.json", config.dump(2) + "\n");
  write_text(directory + "/special_tokens_map.json", special.dump(2) + "\n");
}

}  // namespace cria
