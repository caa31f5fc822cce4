#include "kernels/runtime/check.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/platform.h"

namespace cria::cuda {

struct Graph::Contents {
  cudaGraphExec_t executable = nullptr;

  ~Contents() { cudaGraphExecDestroy(executable); }
};

Graph::Graph() = default;
Graph::~Graph() = default;

bool Graph::recorded() const { return contents_ != nullptr; }

void Graph::record(const std::function<void()>& work) {
  struct Captured {
    cudaGraph_t graph = nullptr;
    ~Captured() {
      if (graph) cudaGraphDestroy(graph);
    }
  } captured;
  CRIA_CUDA(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream(), &captured.graph);
    cudaGetLastError();  // what went wrong in `work` is thrown on
    throw;
  }
  CRIA_CUDA(cudaStreamEndCapture(stream(), &captured.graph));
  auto contents = std::make_unique<Contents>();
  CRIA_CUDA(cudaGraphInstantiate(&contents->executable, captured.graph, 0));
  contents_ = std::move(contents);
}

void Graph::queue() const { CRIA_CUDA(cudaGraphLaunch(contents_->executable, stream())); }

bool is_recording() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  CRIA_CUDA(cudaStreamIsCapturing(stream(), &status));
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace cria::cuda
