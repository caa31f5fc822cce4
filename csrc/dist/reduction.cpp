#include "cria/dist/reduction.h"

#include <algorithm>
#include <vector>

#include "csrc/dist/nccl_choice.h"
#ifdef CRIA_HAS_NCCL
#include "kernels/runtime/nccl_sums.h"
#endif

namespace cria {

namespace {

// By the communicator, which sums host memory, as soon as a sum is started.
class HostReduction : public Reduction {
 public:
  // `reason`: why not otherwise, where there is something to say.
  HostReduction(Communicator& communicator, Backend& backend, const std::string& reason = "")
      : communicator_(communicator), backend_(backend), reason_(reason) {}

  std::string description() const override {
    return reason_.empty() ? "in host memory" : fmt::format("in host memory: {}", reason_);
  }

  void start(Tensor tensor) override {
    if (communicator_.size() == 1) return;
    if (tensor.device == Device::cpu) return communicator_.all_reduce_sum(tensor);
    for (int64_t begin = 0; begin < tensor.size(); begin += kPieceElements) {
      const Tensor piece = tensor.flat(begin, std::min(kPieceElements, tensor.size() - begin));
      piece_.resize(std::max(piece_.size(), piece.bytes()));
      backend_.copy_to_host(piece_.data(), piece);
      Tensor on_host = piece;
      on_host.data = piece_.data();
      on_host.device = Device::cpu;
      communicator_.all_reduce_sum(on_host);
      backend_.copy_from_host(piece, piece_.data());
    }
  }

  void finish() override {}

 private:
  static constexpr int64_t kPieceElements = int64_t{1} << 22;

  Communicator& communicator_;
  Backend& backend_;
  std::string reason_;
  std::vector<std::byte> piece_;  // of a device's tensor
};

#ifdef CRIA_HAS_NCCL
class NcclReduction : public Reduction {
 public:
  explicit NcclReduction(Communicator& communicator)
      : sums_(communicator.rank(), communicator.size(),
              from_root(communicator,
                        communicator.is_root() ? cuda::make_nccl_id() : cuda::NcclId{})) {}
  std::string description() const override {
    return "in GPU memory, by NCCL " + cuda::NcclSums::version();
  }
  void start(Tensor tensor) override { sums_.start(tensor); }
  void finish() override { sums_.finish(); }

 private:
  cuda::NcclSums sums_;
};

std::unique_ptr<Reduction> make_nccl_reduction(Communicator& communicator) {
  return std::make_unique<NcclReduction>(communicator);
}
MissingDevice missing_nccl() { return cuda::missing_nccl(); }
std::array<uint8_t, 16> gpu_identity() { return cuda::gpu_identity(); }
#else
std::unique_ptr<Reduction> make_nccl_reduction(Communicator&) { return nullptr; }
MissingDevice missing_nccl() {
  return {"this build of cria has no NCCL", "build it with CUDA, where nccl.h is"};
}
std::array<uint8_t, 16> gpu_identity() { return {}; }
#endif

// What keeps this rank from it.
MissingDevice missing_nccl_on(Device device) {
  if (device == Device::cuda) return missing_nccl();
  return {fmt::format("it sums in the memory of GPUs, and the device is {}", name_of(device)),
          "set it to auto or host"};
}

std::vector<NcclOffer> exchange(Communicator& communicator, NcclOffer own) {
  std::vector<NcclOffer> offers(static_cast<size_t>(communicator.size()));
  const auto bytes_of = [](std::span<NcclOffer> list) {
    return host_tensor(reinterpret_cast<uint8_t*>(list.data()),
                       {static_cast<int64_t>(list.size_bytes())});
  };
  communicator.all_gather(bytes_of(offers), bytes_of(std::span(&own, 1)));
  return offers;
}

}  // namespace

std::unique_ptr<Reduction> make_reduction(Communicator& communicator, Backend& backend,
                                          const std::string& way) {
  if (way == "host" || (way == "auto" && communicator.size() == 1)) {
    return std::make_unique<HostReduction>(communicator, backend);
  }
  const MissingDevice own = missing_nccl_on(backend.device());
  NcclOffer offer;
  if (!own) offer = {.usable = 1, .gpu = gpu_identity()};
  const MissingDevice obstacle = obstacle_to_nccl(exchange(communicator, offer), own);
  if (!obstacle) return make_nccl_reduction(communicator);
  if (way == "nccl") {
    throw input_error("training.reduction", "nccl: " + obstacle.problem, obstacle.remedy);
  }
  return std::make_unique<HostReduction>(communicator, backend, obstacle.problem);
}

}  // namespace cria
