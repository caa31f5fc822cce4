#include "trainers/terminal.h"

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include "trainers/signals.h"

namespace cria {

struct LineInput::Editor {
  explicit Editor(std::string prompt_text)
      : prompt(std::move(prompt_text)),
        history(history_init()),
        line(el_init("cria", stdin, stdout, stderr)) {
    HistEvent event;
    ::history(history, &event, H_SETSIZE, 1000);
    el_set(line, EL_CLIENTDATA, this);
    el_set(
        line, EL_PROMPT, +[](EditLine* edit_line) {
          Editor* editor = nullptr;
          el_get(edit_line, EL_CLIENTDATA, &editor);
          return editor->prompt.data();
        });
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_SIGNAL, 1);  // the terminal is put right before a signal ends the process
    el_set(line, EL_HIST, ::history, history);
    el_source(line, nullptr);  // the user's ~/.editrc
  }
  ~Editor() {
    el_end(line);
    history_end(history);
  }

  std::string prompt;
  History* history;
  EditLine* line;
};

LineInput::LineInput(const std::string& prompt) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) return;
  // libedit reads characters of the locale; the text is UTF-8 whatever that is.
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
  editor_ = std::make_unique<Editor>(prompt);
}

LineInput::~LineInput() = default;

std::optional<std::string> LineInput::next() {
  std::string line;
  if (!editor_) {
    if (!std::getline(std::cin, line)) return std::nullopt;
  } else {
    int count = 0;
    const char* text = el_gets(editor_->line, &count);
    if (!text || count <= 0) return std::nullopt;
    line.assign(text, static_cast<size_t>(count));
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) {
      HistEvent event;
      history(editor_->history, &event, H_ENTER, text);
    }
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return line;
}

namespace {

volatile std::sig_atomic_t interrupts = 0;
struct sigaction action_before = {};

}  // namespace

InterruptWatch::InterruptWatch() {
  interrupts = 0;
  sigaction(SIGINT, nullptr, &action_before);
  handle_signal(SIGINT, [](int) {
    interrupts = 1;
    std::signal(SIGINT, SIG_DFL);
  });
}

InterruptWatch::~InterruptWatch() { sigaction(SIGINT, &action_before, nullptr); }

bool InterruptWatch::interrupted() { return interrupts != 0; }

std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c0 = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F;
    const bool c1 = byte == 0xC2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xA0;  // U+0080 to U+009F
    if (c0 || c1) {
      result += "\uFFFD";
    } else {
      result += text[i];
    }
    if (c1) ++i;
  }
  return result;
}

}  // namespace cria
