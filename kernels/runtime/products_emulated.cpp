#include "csrc/ops/cpu/cpu_ops.h"
#include "kernels/emulator/queue.h"
#include "kernels/runtime/products.h"

namespace cria::emulated {

void prepare_products() {}

void linear_forward(const LinearForward& args, Stream) {
  enqueue([args] { cpu::linear_forward(args); });
}

void linear_backward_input(const LinearBackwardInput& args, Stream) {
  enqueue([args] { cpu::linear_backward_input(args); });
}

void linear_backward_weight(const LinearBackwardWeight& args, Stream) {
  enqueue([args] { cpu::linear_backward_weight(args); });
}

}  // namespace cria::emulated
