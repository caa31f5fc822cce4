#include "kernels/runtime/check.h"
#include "kernels/runtime/local_rank.h"
#include "kernels/runtime/make_backend.h"
#include "kernels/runtime/platform.h"

namespace cria::cuda {

namespace {

constexpr int kLeastMajor = 8;  // of the compute capability that the kernels are written for

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

int driver_version() {
  int number = 0;
  cudaDriverGetVersion(&number);  // stays 0 without a driver
  return number;
}

std::string name_of(const cudaDeviceProp& properties) {
  return fmt::format("{} (compute capability {}.{})", properties.name, properties.major,
                     properties.minor);
}

// The device of this process and its one stream.
struct Selected {
  int index = 0;
  int count = 0;
  cudaDeviceProp properties = {};
  Stream stream = nullptr;

  Selected() {
    CRIA_CUDA(cudaGetDeviceCount(&count));
    index = gpu_of_rank(local_rank(), count);
    CRIA_CUDA(cudaSetDevice(index));
    CRIA_CUDA(cudaGetDeviceProperties(&properties, index));
    CRIA_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
};

const Selected& selected() {
  static const Selected instance;  // its stream goes with the process
  return instance;
}

}  // namespace

MissingDevice missing_device() {
  if (driver_version() == 0) {
    return {"no NVIDIA driver is running here", "use cpu, or a machine with a GPU"};
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) {
    return {fmt::format("the NVIDIA driver is for CUDA {}, this build is for {}",
                        version(driver_version()), version(CUDART_VERSION)),
            "update the driver, build with an older toolkit, or use cpu"};
  }
  if (status != cudaSuccess || count == 0) {
    return {fmt::format("no NVIDIA GPU can be used here ({})", cudaGetErrorString(status)),
            "see nvidia-smi and CUDA_VISIBLE_DEVICES, or use cpu"};
  }
  cudaDeviceProp properties;
  const int index = gpu_of_rank(local_rank(), count);
  if (cudaGetDeviceProperties(&properties, index) == cudaSuccess &&
      properties.major < kLeastMajor) {
    return {fmt::format("{} is too old: kernels are made for {}.0 and newer", name_of(properties),
                        kLeastMajor),
            "use cpu"};
  }
  return {};
}

Device device() { return Device::cuda; }

std::string device_description() {
  const Selected& gpu = selected();
  return fmt::format("cuda, GPU {} of {}: {}, {}, driver for CUDA {}, runtime {}", gpu.index,
                     gpu.count, name_of(gpu.properties),
                     format_bytes(gpu.properties.totalGlobalMem), version(driver_version()),
                     version(CUDART_VERSION));
}

Stream stream() { return selected().stream; }

void synchronize() { CRIA_CUDA(cudaStreamSynchronize(stream())); }

Event::Event() {
  cudaEvent_t event = nullptr;
  CRIA_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  handle_ = event;
}

Event::~Event() { cudaEventDestroy(static_cast<cudaEvent_t>(handle_)); }

void Event::record() { CRIA_CUDA(cudaEventRecord(static_cast<cudaEvent_t>(handle_), stream())); }

void Event::wait() { CRIA_CUDA(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_))); }

}  // namespace cria::cuda
