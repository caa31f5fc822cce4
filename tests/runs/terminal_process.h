// build/cria at a terminal of its own (a pseudo-terminal), as a person would run it.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace cria::testing {

class TerminalProcess {
 public:
  // `columns` 0: a terminal of unknown width that knows no escape sequences.
  explicit TerminalProcess(const std::vector<std::string>& arguments, unsigned short columns = 0);
  TerminalProcess(const TerminalProcess&) = delete;
  ~TerminalProcess();

  void type(const std::string& keys);

  // What the terminal shows from where the last call ended up to the end of `text`; fails the test
  // when that has not come within a minute, or never will.
  std::string read_until(const std::string& text);
  std::string read_to_end();  // up to where the process closes the terminal

  // Up to a prompt behind which keys can be typed: before the editor has set up the terminal, the
  // terminal itself would take Ctrl-D.
  void read_prompt();

  int wait();  // exit code, or -signal; a test that waits more than a minute fails

 private:
  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string unread_;
};

}  // namespace cria::testing
