#include "trainers/distill/preprompts.h"

#include "cria/core/random.h"
#include "cria/generate/generator.h"

namespace cria {

namespace {

// Sample numbers of a prompt, the same whatever sorts of pre-prompts there are.
constexpr uint32_t kFirstGeneric = 1;
constexpr uint32_t kFirstTemplate = 1 + (1 << 18);

std::vector<Message> with_system(std::vector<Message> messages, const std::string& text) {
  if (messages.front().role == "system") {
    messages.front().content = text + "\n" + messages.front().content;
  } else {
    messages.insert(messages.begin(), {"system", text});
  }
  return messages;
}

std::vector<Message> before_user(std::vector<Message> messages, const std::string& text) {
  messages.back().content = text + " " + messages.back().content;
  return messages;
}

}  // namespace

const char* name_of(PrepromptKind kind) { return kPrepromptNames[static_cast<int>(kind)]; }

Preprompted Preprompts::with(const Prompt& prompt, PrepromptKind kind,
                             const std::string& text) const {
  Preprompted result{.kind = kind, .text = text, .ids = prompt.ids};
  const std::string& placement = kind == PrepromptKind::generic
                                     ? config_.distill.placement
                                     : config_.distill.template_placement;
  if (placement == "answer") {
    // Alone its first word has the space before it that it has behind a prompt.
    result.opening = tokenizer_.encode(text);
    result.ids.insert(result.ids.end(), result.opening.begin(), result.opening.end());
    return result;
  }
  const std::vector<Message> messages = placement == "system" ? with_system(prompt.messages, text)
                                                              : before_user(prompt.messages, text);
  result.ids = encode_dialogue(tokenizer_, messages, prompt.where).ids;
  return result;
}

const std::string* Preprompts::template_of(const Prompt& prompt) const {
  const auto found = config_.distill.templates.find(prompt.label);
  return found == config_.distill.templates.end() ? nullptr : &found->second;
}

std::vector<Preprompted> Preprompts::of(const Prompt& prompt) const {
  const auto& d = config_.distill;
  const auto samples = static_cast<uint32_t>(d.num_samples);
  std::vector<Preprompted> answers = {{.kind = PrepromptKind::before, .ids = prompt.ids}};
  answers.back().key = sample_example(prompt.number, 0);
  const Random random(config_.training.seed, Purpose::instructions, prompt.number);
  for (uint32_t sample = 0; sample < samples && !d.generic.empty(); ++sample) {
    const std::string& text = d.generic[random.below(d.generic.size(), sample)];
    answers.push_back(with(prompt, PrepromptKind::generic, text));
    answers.back().key = sample_example(prompt.number, kFirstGeneric + sample);
  }
  if (const std::string* text = template_of(prompt)) {
    const Preprompted one = with(prompt, PrepromptKind::answer_template, *text);
    for (uint32_t sample = 0; sample < samples; ++sample) {
      answers.push_back(one);
      answers.back().key = sample_example(prompt.number, kFirstTemplate + sample);
    }
  }
  return answers;
}

std::vector<Preprompted> Preprompts::all(const Prompt& prompt) const {
  std::vector<Preprompted> all = {{.kind = PrepromptKind::before, .ids = prompt.ids}};
  for (const std::string& text : config_.distill.generic) {
    all.push_back(with(prompt, PrepromptKind::generic, text));
  }
  if (const std::string* text = template_of(prompt)) {
    all.push_back(with(prompt, PrepromptKind::answer_template, *text));
  }
  return all;
}

}  // namespace cria
