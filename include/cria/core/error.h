// The one exception of cria: what went wrong, where, and what to do about it.
// main() prints it as one line, `error: WHERE: PROBLEM; REMEDY`, and exits with the code of its
// kind.
#pragma once

#include <stdexcept>
#include <string>

#ifdef __CUDACC__
#define FMT_USE_CONSTEXPR 1  // fmt 9 keeps it from nvcc, which has long had it
#endif
#include <fmt/format.h>

namespace cria {

class Error : public std::runtime_error {
 public:
  enum class Kind {
    input,    // a wrong call, config or input file: exit code 2
    failure,  // something failed while running: exit code 1
  };

  Error(Kind kind, const std::string& where, const std::string& problem,
        const std::string& remedy = {});

  Kind kind() const { return kind_; }
  int exit_code() const { return kind_ == Kind::input ? 2 : 1; }

 private:
  Kind kind_;
};

// `where` names a file (with its line), a config key or a tensor; `remedy` says what to do and may
// be empty when the problem says it already.
//   throw input_error(path, fmt::format("header of {} bytes", n), "the file is cut short: copy it
//   again");
Error input_error(const std::string& where, const std::string& problem,
                  const std::string& remedy = {});
Error failure(const std::string& where, const std::string& problem, const std::string& remedy = {});

// A system call that failed: problem is `what` followed by strerror(errno).
Error system_failure(const std::string& where, const std::string& what);

[[noreturn]] void assertion_failed(const char* file, int line, const char* condition);

}  // namespace cria

// For errors of the programmer only, never of the user. Stays on in release builds.
#define CRIA_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::cria::assertion_failed(__FILE__, __LINE__, #condition))
