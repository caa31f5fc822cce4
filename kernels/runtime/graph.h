// Work of the stream, recorded once and queued again as a whole.
#pragma once

#include <functional>
#include <memory>

#include "cria/ops/backend.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

class Graph : public Recording {
 public:
  Graph();
  ~Graph() override;

  bool recorded() const;
  // Calls `work`; what it queues is recorded and does not run. When it throws, nothing is recorded.
  void record(const std::function<void()>& work);
  void queue() const;

 private:
  struct Contents;
  std::unique_ptr<Contents> contents_;
};

// Whether queued work is being recorded: the host must not wait for it then.
bool is_recording();

}  // namespace cria::CRIA_GPU
