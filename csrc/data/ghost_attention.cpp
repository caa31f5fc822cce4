#include "cria/data/ghost_attention.h"

#include <numeric>

#include "cria/text/utf8.h"

#include "json_fields.h"

namespace cria {

namespace {

// What the user says in a turn, with what stands before it.
std::vector<Message> question(const InstructedDialogue& dialogue, size_t turn,
                              const InstructionUse& use) {
  std::string system = turn == 0 ? dialogue.system : std::string();
  std::string user(strip(dialogue.turns[turn].user));
  const bool instructed =
      use.turns == InstructedTurns::every || (use.turns == InstructedTurns::first && turn == 0);
  const bool has_short = use.short_form && !dialogue.short_form.empty();
  const std::string_view instruction = strip(has_short ? dialogue.short_form : dialogue.long_form);
  if (instructed && !instruction.empty()) {
    std::string& place = use.placement == Placement::user ? user : system;
    place = std::string(instruction) + (place.empty() ? "" : " ") + place;
  }
  std::vector<Message> messages;
  if (!system.empty()) messages.push_back({"system", std::move(system)});
  messages.push_back({"user", std::move(user)});
  return messages;
}

// A turn is encoded on its own, for each has its own bos and eos. Its answer has labels.
Example whole_turn(const InstructedDialogue& dialogue, size_t turn, const InstructionUse& use,
                   const Tokenizer& tokenizer, const std::string& where) {
  const DialogueTurn& said = dialogue.turns[turn];
  std::vector<Message> messages = question(dialogue, turn, use);
  Example example;
  if (!said.answer_ids.empty()) {
    example.ids = encode_dialogue(tokenizer, messages, where).ids;
    example.labels.assign(example.ids.size(), kNoLabel);
    for (const int32_t id : said.answer_ids) {
      example.ids.push_back(id);
      example.labels.push_back(id);
    }
    return example;
  }
  if (strip(said.answer).empty()) {
    throw input_error(where, fmt::format("turn {} has no answer", turn + 1));
  }
  const auto answer = static_cast<int32_t>(messages.size());
  messages.push_back({"assistant", said.answer});
  EncodedText encoded = encode_dialogue(tokenizer, messages, where);
  example.ids = std::move(encoded.ids);
  for (size_t i = 0; i < example.ids.size(); ++i) {
    example.labels.push_back(encoded.segments[i] == answer ? example.ids[i] : kNoLabel);
  }
  return example;
}

// `last`, behind the turns before it that there is room for.
std::optional<GhostSequence> behind_the_others(Example last, const InstructedDialogue& dialogue,
                                               size_t turn, const InstructionUse& use,
                                               const Tokenizer& tokenizer, int64_t room,
                                               const std::string& where) {
  std::vector<Example> turns;
  std::vector<size_t> answers;  // in each turn, the first token of its answer
  std::vector<int64_t> lengths;
  const auto add = [&](Example part) {
    size_t answer = part.ids.size();
    while (answer > 0 && part.labels[answer - 1] != kNoLabel) --answer;
    answers.push_back(answer);
    turns.push_back(std::move(part));
  };
  for (size_t t = 0; t < turn; ++t) {
    add(whole_turn(dialogue, t, use, tokenizer, where));
    std::vector<int32_t>& ids = turns.back().ids;
    if (ids.back() != tokenizer.eos_id()) ids.push_back(tokenizer.eos_id());
    turns.back().labels.assign(turns.back().ids.size(), kNoLabel);
  }
  add(std::move(last));
  for (const Example& part : turns) lengths.push_back(static_cast<int64_t>(part.ids.size()));
  const std::optional<size_t> kept = first_kept_turn(lengths, room);
  if (!kept) return std::nullopt;
  GhostSequence sequence{.example = {}, .dropped = *kept - 1, .answers = {}};
  Example& whole = sequence.example;
  for (size_t t = 0; t <= turn; t = t == 0 ? *kept : t + 1) {
    const size_t begin = whole.ids.size() + answers[t];
    whole.ids.insert(whole.ids.end(), turns[t].ids.begin(), turns[t].ids.end());
    whole.labels.insert(whole.labels.end(), turns[t].labels.begin(), turns[t].labels.end());
    if (begin < whole.ids.size()) {
      sequence.answers.push_back({.turn = t, .begin = begin, .end = whole.ids.size()});
    }
  }
  return sequence;
}

}  // namespace

Placement parse_placement(const std::string& name, const std::string& key) {
  if (name == "user") return Placement::user;
  if (name == "system") return Placement::system;
  throw input_error(key, fmt::format("'{}' is no place for an instruction", name),
                    "user or system");
}

std::optional<size_t> first_kept_turn(std::span<const int64_t> lengths, int64_t room) {
  const size_t last = lengths.size() - 1;
  if (last == 0) return lengths[0] <= room ? std::optional<size_t>(1) : std::nullopt;
  int64_t used = lengths[0] + lengths[last];
  if (used > room) return std::nullopt;
  size_t kept = last;
  while (kept > 1 && used + lengths[kept - 1] <= room) used += lengths[--kept];
  return kept;
}

std::optional<GhostSequence> ghost_prompt(const InstructedDialogue& dialogue, size_t turn,
                                          const InstructionUse& use, const Tokenizer& tokenizer,
                                          int64_t room, const std::string& where) {
  Example last{.ids = encode_dialogue(tokenizer, question(dialogue, turn, use), where).ids,
               .labels = {},
               .weights = {}};
  last.labels.assign(last.ids.size(), kNoLabel);
  return behind_the_others(std::move(last), dialogue, turn, use, tokenizer, room, where);
}

std::optional<GhostSequence> ghost_example(const InstructedDialogue& dialogue, size_t turn,
                                           const InstructionUse& use, const Tokenizer& tokenizer,
                                           int64_t room, const std::string& where) {
  return behind_the_others(whole_turn(dialogue, turn, use, tokenizer, where), dialogue, turn, use,
                           tokenizer, room, where);
}

InstructedDialogue parse_instructed_dialogue(const nlohmann::json& line, const std::string& where,
                                             bool needs_instruction) {
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  if (!has(line, "messages")) {
    throw input_error(where, "field 'messages' is missing",
                      "a dialogue is {\"messages\", \"instruction\", \"short\"?}");
  }
  const std::vector<Message> messages = parse_messages(line["messages"], where, "messages");
  InstructedDialogue dialogue;
  size_t next = 0;
  if (!messages.empty() && messages[0].role == "system") dialogue.system = messages[next++].content;
  for (; next < messages.size(); ++next) {
    const char* expected =
        dialogue.turns.empty() || messages[next - 1].role == "assistant" ? "user" : "assistant";
    if (messages[next].role != expected) {
      throw input_error(where, fmt::format("message {} has role '{}' where '{}' must stand", next,
                                           messages[next].role, expected));
    }
    if (messages[next].role == "user") {
      dialogue.turns.push_back({.user = messages[next].content, .answer = {}, .answer_ids = {}});
    } else {
      dialogue.turns.back().answer = messages[next].content;
    }
  }
  if (dialogue.turns.empty()) throw input_error(where, "the dialogue has no user turn");
  if (has(line, "instruction")) dialogue.long_form = string_of(line, "instruction", where);
  if (has(line, "short")) dialogue.short_form = string_of(line, "short", where);
  if (needs_instruction && strip(dialogue.long_form).empty()) {
    throw input_error(where, "field 'instruction' is missing or empty",
                      "give the instruction that holds over the dialogue");
  }
  return dialogue;
}

}  // namespace cria
