#include "cria/core/error.h"

#include <cerrno>
#include <cstring>

namespace cria {

namespace {

std::string compose(const std::string& where, const std::string& problem,
                    const std::string& remedy) {
  std::string message = where.empty() ? problem : where + ": " + problem;
  if (!remedy.empty()) message += "; " + remedy;
  return message;
}

}  // namespace

Error::Error(Kind kind, const std::string& where, const std::string& problem,
             const std::string& remedy)
    : std::runtime_error(compose(where, problem, remedy)), kind_(kind) {}

Error input_error(const std::string& where, const std::string& problem, const std::string& remedy) {
  return Error(Error::Kind::input, where, problem, remedy);
}

Error failure(const std::string& where, const std::string& problem, const std::string& remedy) {
  return Error(Error::Kind::failure, where, problem, remedy);
}

Error system_failure(const std::string& where, const std::string& what) {
  const int code = errno;
  return failure(where, what + ": " + std::strerror(code));
}

void assertion_failed(const char* file, int line, const char* condition) {
  throw failure(fmt::format("{}:{}", file, line),
                fmt::format("internal error, '{}' does not hold", condition),
                "this is a bug in cria: please report it with the command that led here");
}

}  // namespace cria
