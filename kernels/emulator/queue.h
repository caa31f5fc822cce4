// What is queued on a stream: it runs at once, or is kept while a graph is recorded.
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace cria::emulated {

using Recorded = std::vector<std::function<void()>>;

// Where queued work goes at present; null where it runs. A process has one stream.
inline Recorded* recorded_work = nullptr;

template <typename Work>
void enqueue(Work&& work) {
  if (recorded_work) {
    recorded_work->emplace_back(std::forward<Work>(work));
  } else {
    work();
  }
}

}  // namespace cria::emulated
