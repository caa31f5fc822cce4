#include "kernels/emulator/thread_order.h"

#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "cria/core/error.h"

namespace cria::emulated {

namespace {

constexpr const char* kVariable = "CRIA_EMULATOR_ORDER";

struct Selected {
  std::mutex mutex;
  ThreadOrder order;
};

Selected& selected() {
  static Selected instance = [] {
    const char* text = std::getenv(kVariable);
    return Selected{{}, text ? parse_thread_order(text) : ThreadOrder{}};
  }();
  return instance;
}

}  // namespace

ThreadOrder parse_thread_order(const std::string& text) {
  if (text == "forward") return {.kind = ThreadOrder::Kind::forward};
  if (text == "reverse") return {.kind = ThreadOrder::Kind::reverse};
  constexpr std::string_view kShuffled = "shuffled:";
  if (text.starts_with(kShuffled)) {
    ThreadOrder order{.kind = ThreadOrder::Kind::shuffled};
    const char* begin = text.data() + kShuffled.size();
    const char* end = text.data() + text.size();
    const auto [stop, failure_code] = std::from_chars(begin, end, order.seed);
    if (failure_code == std::errc() && stop == end) return order;
  }
  throw input_error(kVariable, fmt::format("'{}' is no order of threads", text),
                    "one of forward, reverse, shuffled:SEED");
}

ThreadOrder thread_order() {
  Selected& s = selected();
  const std::lock_guard lock(s.mutex);
  return s.order;
}

void set_thread_order(ThreadOrder order) {
  Selected& s = selected();
  const std::lock_guard lock(s.mutex);
  s.order = order;
}

}  // namespace cria::emulated
