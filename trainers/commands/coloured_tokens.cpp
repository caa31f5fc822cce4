#include "trainers/commands/coloured_tokens.h"

#include <cstdlib>
#include <string_view>

#include <unistd.h>

#include "cria/text/continuation.h"

#include "trainers/terminal.h"

namespace cria {

std::string shown(const Example& example, const Tokenizer& tokenizer, bool colours) {
  const auto is_control = [&](int32_t id) {
    return id == tokenizer.bos_id() || id == tokenizer.eos_id();
  };
  const auto learnt = [&](size_t i) { return i > 0 && example.weight(i) > 0; };
  std::string text;
  bool open = false;
  for (size_t begin = 0, end = 0; begin < example.ids.size(); begin = end) {
    // A run that decodes as one: characters may be made of several tokens.
    const bool control = is_control(example.ids[begin]);
    end = begin + 1;
    while (!control && end < example.ids.size() && !is_control(example.ids[end]) &&
           learnt(end) == learnt(begin)) {
      ++end;
    }
    const std::span<const int32_t> ids(example.ids);
    const std::string run =
        control ? tokenizer.piece(example.ids[begin])
                : printable(decode_continuation(tokenizer, ids.subspan(0, begin).last(begin > 0),
                                                ids.subspan(begin, end - begin)));
    if (colours) {
      text += (learnt(begin) ? "\033[1;32m" : "\033[2m") + run + "\033[0m";
      continue;
    }
    if (learnt(begin) != open) text += open ? "»" : "«";
    open = learnt(begin);
    text += run;
  }
  return text + (open ? "»" : "");
}

bool output_has_colours() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

}  // namespace cria
