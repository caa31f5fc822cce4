#include <cstdlib>
#include <cstring>
#include <exception>

#include "kernels/runtime/check.h"
#include "kernels/runtime/nccl_library.h"
#include "kernels/runtime/nccl_sums.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/shared_library.h"

namespace cria::cuda {

namespace {

Nccl load() {
  const SharedLibrary library("NCCL", "libnccl.so.2",
                              "install NCCL 2 (Debian and Ubuntu: libnccl2 of NVIDIA's packages)");
  Nccl functions;
#define CRIA_FIND(name) library.find(#name, functions.name);
  CRIA_NCCL_FUNCTIONS(CRIA_FIND)
#undef CRIA_FIND
  return functions;
}

ncclDataType_t type_of(DType dtype) {
  CRIA_ASSERT(dtype == DType::f32 || dtype == DType::bf16);
  return dtype == DType::f32 ? ncclFloat32 : ncclBfloat16;
}

}  // namespace

const Nccl& nccl() {
  static const Nccl functions = load();
  return functions;
}

MissingDevice missing_nccl() {
  try {
    nccl();
    return {};
  } catch (const Error& error) {
    return {error.what(), ""};
  }
}

GpuIdentity gpu_identity() {
  stream();  // first of all: it chooses the GPU
  int index = 0;
  cudaDeviceProp properties;
  CRIA_CUDA(cudaGetDevice(&index));
  CRIA_CUDA(cudaGetDeviceProperties(&properties, index));
  GpuIdentity identity;
  static_assert(sizeof(properties.uuid) == sizeof(identity));
  std::memcpy(identity.data(), &properties.uuid, sizeof(identity));
  return identity;
}

void pin_nccl_algorithm() {
  setenv("NCCL_ALGO", "Ring", 0);
  setenv("NCCL_PROTO", "Simple", 0);
}

NcclId make_nccl_id() {
  pin_nccl_algorithm();
  ncclUniqueId unique;
  CRIA_NCCL(ncclGetUniqueId(&unique));
  NcclId id;
  static_assert(sizeof(unique) == sizeof(id));
  std::memcpy(id.data(), &unique, sizeof(id));
  return id;
}

struct NcclSums::State {
  ncclComm_t communicator = nullptr;
  cudaStream_t own = nullptr;
  cudaEvent_t queued = nullptr;  // what the compute stream had queued at the last start
  cudaEvent_t summed = nullptr;
  int exceptions = std::uncaught_exceptions();
};

NcclSums::NcclSums(int rank, int size, const NcclId& id) : state_(std::make_unique<State>()) {
  pin_nccl_algorithm();
  stream();  // first of all: it chooses the GPU
  ncclUniqueId unique;
  std::memcpy(&unique, id.data(), sizeof(unique));
  CRIA_NCCL(ncclCommInitRank(&state_->communicator, size, unique, rank));
  // Sums are short of work for a GPU, and what waits for them is long: they go first.
  int least = 0;
  int greatest = 0;
  CRIA_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  CRIA_CUDA(cudaStreamCreateWithPriority(&state_->own, cudaStreamNonBlocking, greatest));
  CRIA_CUDA(cudaEventCreateWithFlags(&state_->queued, cudaEventDisableTiming));
  CRIA_CUDA(cudaEventCreateWithFlags(&state_->summed, cudaEventDisableTiming));
  // NCCL makes its buffers for the first sum: now, before a run plans its memory.
  void* number = nullptr;
  CRIA_CUDA(cudaMalloc(&number, sizeof(float)));
  CRIA_CUDA(cudaMemsetAsync(number, 0, sizeof(float), state_->own));
  CRIA_NCCL(
      ncclAllReduce(number, number, 1, ncclFloat32, ncclSum, state_->communicator, state_->own));
  CRIA_CUDA(cudaStreamSynchronize(state_->own));
  CRIA_CUDA(cudaFree(number));
}

// Errors are of no use any more. A rank that fails does not wait for the others in NCCL, which may
// be waiting for it.
NcclSums::~NcclSums() {
  if (std::uncaught_exceptions() > state_->exceptions) {
    nccl().ncclCommAbort(state_->communicator);
    return;
  }
  cudaStreamSynchronize(state_->own);
  nccl().ncclCommDestroy(state_->communicator);
  cudaEventDestroy(state_->summed);
  cudaEventDestroy(state_->queued);
  cudaStreamDestroy(state_->own);
}

std::string NcclSums::version() {
  int number = 0;
  CRIA_NCCL(ncclGetVersion(&number));
  return fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100);
}

void NcclSums::start(Tensor tensor) {
  CRIA_ASSERT(tensor.device == Device::cuda);
  CRIA_CUDA(cudaEventRecord(state_->queued, stream()));
  CRIA_CUDA(cudaStreamWaitEvent(state_->own, state_->queued));
  CRIA_NCCL(ncclAllReduce(tensor.data, tensor.data, static_cast<size_t>(tensor.size()),
                          type_of(tensor.dtype), ncclSum, state_->communicator, state_->own));
}

void NcclSums::finish() {
  ncclResult_t result = ncclSuccess;  // of what runs already: a rank that was lost, say
  CRIA_NCCL(ncclCommGetAsyncError(state_->communicator, &result));
  check_nccl(result, "ncclAllReduce", __FILE__, __LINE__);
  CRIA_CUDA(cudaEventRecord(state_->summed, state_->own));
  CRIA_CUDA(cudaStreamWaitEvent(stream(), state_->summed));
}

}  // namespace cria::cuda
