#include <cstring>

#include "cria/dist/communicator.h"

namespace cria {

namespace {

class SingleProcess : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce_sum(Tensor) override {}
  void all_reduce_sum(std::span<double>) override {}
  void reduce_scatter_sum(Tensor output, Tensor input) override { copy(output, input); }
  void all_gather(Tensor output, Tensor input) override { copy(output, input); }
  void broadcast(Tensor, int) override {}
  void broadcast(std::span<std::byte>, int) override {}
  void barrier() override {}

 private:
  static void copy(Tensor output, Tensor input) {
    CRIA_ASSERT(output.device == Device::cpu && output.bytes() == input.bytes());
    if (output.data != input.data) std::memcpy(output.data, input.data, input.bytes());
  }
};

}  // namespace

std::unique_ptr<Communicator> single_process_communicator() {
  return std::make_unique<SingleProcess>();
}

}  // namespace cria
