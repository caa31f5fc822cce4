// What a conversation at a terminal needs: lines with editing and history, Ctrl-C that interrupts
// an answer instead of the program, and text that cannot steer the terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cria {

// Lines of standard input. At a terminal they can be edited (libedit: Emacs keys, history with the
// arrows) behind a prompt; from a pipe or a file they are read as they are.
class LineInput {
 public:
  explicit LineInput(const std::string& prompt);
  LineInput(const LineInput&) = delete;
  LineInput& operator=(const LineInput&) = delete;
  ~LineInput();

  bool at_terminal() const { return editor_ != nullptr; }
  std::optional<std::string> next();  // without its newline; nothing at the end of the input

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;
};

// While it lives, SIGINT (Ctrl-C) is noted instead of ending the process; a second one ends it.
class InterruptWatch {
 public:
  InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;
  ~InterruptWatch();

  static bool interrupted();  // since the latest watch began
};

// Control characters other than newline and tab become U+FFFD. `text` is UTF-8.
std::string printable(std::string_view text);

}  // namespace cria
