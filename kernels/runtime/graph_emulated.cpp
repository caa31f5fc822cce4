#include "kernels/emulator/queue.h"
#include "kernels/runtime/graph.h"

namespace cria::emulated {

struct Graph::Contents {
  Recorded work;
};

Graph::Graph() = default;
Graph::~Graph() = default;

bool Graph::recorded() const { return contents_ != nullptr; }

void Graph::record(const std::function<void()>& work) {
  auto contents = std::make_unique<Contents>();
  struct Recorder {
    explicit Recorder(Recorded& target) { recorded_work = &target; }
    ~Recorder() { recorded_work = nullptr; }
  };
  {
    const Recorder recorder(contents->work);
    work();
  }
  contents_ = std::move(contents);
}

void Graph::queue() const {
  for (const auto& work : contents_->work) work();
}

bool is_recording() { return recorded_work != nullptr; }

}  // namespace cria::emulated
