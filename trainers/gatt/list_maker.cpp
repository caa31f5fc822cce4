#include "trainers/gatt/list_maker.h"

#include "cria/text/chat_template.h"
#include "cria/text/continuation.h"

#include "trainers/gatt/random_keys.h"
#include "trainers/signals.h"

namespace cria {

bool ListMaker::asks_the_model(const GattConfig& config) {
  for (const ListedKind* kind : config.listed_kinds()) {
    if (kind->values.empty() && !kind->prompts.empty()) return true;
  }
  return false;
}

std::vector<std::string> ListMaker::values_of(const ListedKind& kind) {
  if (!kind.values.empty()) return merge_lists({kind.values}, 1);
  if (kind.prompts.empty()) return {};
  return merge_lists(ask(kind.prompts), config_.gatt.list_min_count);
}

std::vector<std::vector<std::string>> ListMaker::ask(const std::vector<std::string>& prompts) {
  const auto& g = config_.gatt;
  std::vector<GenerationRequest> requests;
  for (const std::string& prompt : prompts) {
    const std::vector<Message> messages = {{"user", prompt}};
    for (int64_t sample = 0; sample < g.list_samples; ++sample) {
      requests.push_back({.prompt = encode_dialogue(tokenizer_, messages, "gatt prompts").ids,
                          .example = list_key(asked_, sample),
                          .settings = {.temperature = static_cast<float>(g.list_temperature),
                                       .max_new_tokens = g.list_max_new_tokens,
                                       .stop_ids = {engine_.config().eos_token_id}}});
    }
    ++asked_;
  }
  const std::vector<GenerationResult> results =
      engine_.generator().generate(requests, [](const DrawnToken&) {
        return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
      });
  std::vector<std::vector<std::string>> lists;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string text = decode_continuation(tokenizer_, requests[i].prompt, results[i].tokens);
    lists.push_back(parse_list(text, results[i].finished_by_eos, g.list_max_words));
  }
  return lists;
}

}  // namespace cria
