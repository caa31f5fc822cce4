#include "cria/ops/attention_choice.h"

#include "kernels/runtime/make_backend.h"
#ifdef CRIA_HAS_CUDNN
#include "kernels/runtime/cudnn_attention.h"
#include "kernels/runtime/library_attention.h"
#endif

namespace cria {

namespace {

#ifdef CRIA_HAS_CUDNN
MissingDevice missing_cudnn() { return cuda::missing_cudnn_attention(); }
void use_cudnn(Backend& backend) { cuda::use_attention(backend, cuda::make_cudnn_attention()); }
void use_native(Backend& backend) {
  if (backend.device() == Device::cuda) cuda::use_attention(backend, nullptr);
}
#else
MissingDevice missing_cudnn() {
  return {"this build of cria has none",
          "build it where cudnn.h and cuDNN's frontend are (docs/gpu.md), or set it to native"};
}
void use_cudnn(Backend&) {}
void use_native(Backend&) {}
#endif

}  // namespace

void choose_attention(Backend& backend, const std::string& attention) {
  if (attention == "native") return use_native(backend);
  CRIA_ASSERT(attention == "cudnn");
  MissingDevice missing;
  if (backend.device() == Device::cuda) {
    missing = missing_cudnn();
  } else {
    missing = {fmt::format("it runs on GPUs, and the device is {}", name_of(backend.device())),
               "set it to native"};
  }
  if (missing) throw input_error("training.attention", "cudnn: " + missing.problem, missing.remedy);
  use_cudnn(backend);
}

}  // namespace cria
