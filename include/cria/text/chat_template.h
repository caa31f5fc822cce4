// Llama 2's chat format, token for token as Meta's reference (llama/generation.py,
// chat_completion):
//
//   bos [INST] user [/INST] answer  eos   for each pair, the text between bos and eos encoded as
//                                         one, the answer followed by one space
//   bos [INST] user [/INST]               for a last user turn that waits for its answer
//
// A system message becomes the front of the first user turn: <<SYS>>\nsystem\n<</SYS>>\n\nuser.
// Turns are stripped of white space at both ends. Markers inside a message stay plain text.
//
// Every token knows the message that it belongs to, so that loss weights come from segment
// boundaries and never from searching text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/text/tokenizer.h"

namespace cria {

struct Message {
  std::string role;  // system, user, assistant
  std::string content;

  bool operator==(const Message&) const = default;
};

inline constexpr int32_t kMarker = -1;

struct EncodedText {
  std::vector<int32_t> ids;
  // For each token the index of its message (of its part, for encode_completion), or kMarker for
  // what belongs to none: bos, [INST], <<SYS>>, a separator. The space in front of an answer, the
  // one behind it and its eos belong to the answer: all that is generated after a prompt. A token
  // that straddles two segments belongs to the later one.
  std::vector<int32_t> segments;
};

// Roles: an optional system message, then user and assistant in turns. Anything else is an input
// Error that names `where` and the message. Ends with the answer's eos, or ready for an answer when
// the last message is the user's.
EncodedText encode_dialogue(const Tokenizer& tokenizer, std::span<const Message> messages,
                            const std::string& where = "messages");

// Plain form: bos prompt separator completion eos, the text encoded as one. Segment 0 is the
// prompt, 1 the completion with its eos.
EncodedText encode_completion(const Tokenizer& tokenizer, std::string_view prompt,
                              std::string_view separator, std::string_view completion);

// bos prompt separator: what stands before the completion when it is to be generated.
std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                                   std::string_view separator = {});

// Anthropic's form, "\n\nHuman: …\n\nAssistant: …", as messages. Other text before the first
// marker, or none at all, is an input Error that names `where`.
bool is_anthropic_dialogue(std::string_view text);  // starts with "\n\nHuman:"
std::vector<Message> parse_anthropic_dialogue(std::string_view text, const std::string& where);

}  // namespace cria
