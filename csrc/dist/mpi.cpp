#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <mpi.h>

#include "cria/dist/communicator.h"

namespace cria {

namespace {

// MPI counts are ints, and scratch memory should stay small: large tensors go in pieces of this
// many elements a rank.
constexpr int64_t kPieceElements = int64_t{1} << 18;

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw failure(call, std::string(text, static_cast<size_t>(length)));
}

#define CRIA_MPI(call) check(call, #call)

// Owned by the process: initialised with the first communicator, finalised at exit.
class MpiEnvironment {
 public:
  MpiEnvironment() {
    CRIA_MPI(MPI_Init(nullptr, nullptr));
    CRIA_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  }
  ~MpiEnvironment() { MPI_Finalize(); }
};

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    static MpiEnvironment environment;
    CRIA_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    CRIA_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  // Each rank sums one part of a piece in the order of the ranks, and all gather the sums: the same
  // bits everywhere, whatever algorithms the MPI library would choose for itself.
  void all_reduce_sum(Tensor tensor) override {
    CRIA_ASSERT(tensor.device == Device::cpu);
    visit_dtype(tensor.dtype, [&]<typename T>() {
      const int64_t part = std::min(kPieceElements, (tensor.size() + size_ - 1) / size_);
      std::vector<T> piece(static_cast<size_t>(part * size_));
      std::vector<T> parts(piece.size());
      std::vector<T> sums(static_cast<size_t>(part));
      T* values = tensor.as<T>();
      for (int64_t begin = 0; begin < tensor.size(); begin += part * size_) {
        const int64_t count = std::min(part * size_, tensor.size() - begin);
        std::copy_n(values + begin, count, piece.begin());
        std::fill(piece.begin() + count, piece.end(), T(0.0f));
        exchange_and_sum(piece.data(), parts.data(), sums.data(), part);
        const int bytes = static_cast<int>(sums.size() * sizeof(T));
        CRIA_MPI(MPI_Allgather(sums.data(), bytes, MPI_BYTE, piece.data(), bytes, MPI_BYTE,
                               MPI_COMM_WORLD));
        std::copy_n(piece.begin(), count, values + begin);
      }
    });
  }

  void all_reduce_sum(std::span<double> values) override {
    std::vector<double> all(values.size() * static_cast<size_t>(size_));
    const int count = static_cast<int>(values.size());
    CRIA_MPI(MPI_Allgather(values.data(), count, MPI_DOUBLE, all.data(), count, MPI_DOUBLE,
                           MPI_COMM_WORLD));
    for (size_t i = 0; i < values.size(); ++i) {
      double sum = 0;
      for (size_t r = 0; r < static_cast<size_t>(size_); ++r) sum += all[r * values.size() + i];
      values[i] = sum;
    }
  }

  void reduce_scatter_sum(Tensor output, Tensor input) override {
    CRIA_ASSERT(input.size() == output.size() * size_ && input.dtype == output.dtype);
    CRIA_ASSERT(input.device == Device::cpu && output.device == Device::cpu);
    visit_dtype(input.dtype, [&]<typename T>() {
      const int64_t part = std::min(kPieceElements, output.size());
      std::vector<T> piece(static_cast<size_t>(part * size_));
      std::vector<T> parts(piece.size());
      for (int64_t begin = 0; begin < output.size(); begin += part) {
        const int64_t count = std::min(part, output.size() - begin);
        for (int r = 0; r < size_; ++r) {
          std::copy_n(input.as<T>() + r * output.size() + begin, count, piece.begin() + r * count);
        }
        exchange_and_sum(piece.data(), parts.data(), output.as<T>() + begin, count);
      }
    });
  }

  void all_gather(Tensor output, Tensor input) override {
    CRIA_ASSERT(output.bytes() == input.bytes() * static_cast<size_t>(size_));
    CRIA_ASSERT(input.device == Device::cpu && output.device == Device::cpu);
    const size_t piece_bytes = static_cast<size_t>(kPieceElements) * sizeof(float);
    std::vector<std::byte> gathered(piece_bytes * static_cast<size_t>(size_));
    const auto* from = static_cast<const std::byte*>(input.data);
    auto* to = static_cast<std::byte*>(output.data);
    for (size_t begin = 0; begin < input.bytes(); begin += piece_bytes) {
      const size_t bytes = std::min(piece_bytes, input.bytes() - begin);
      CRIA_MPI(MPI_Allgather(from + begin, static_cast<int>(bytes), MPI_BYTE, gathered.data(),
                             static_cast<int>(bytes), MPI_BYTE, MPI_COMM_WORLD));
      for (size_t r = 0; r < static_cast<size_t>(size_); ++r) {
        std::memcpy(to + r * input.bytes() + begin, gathered.data() + r * bytes, bytes);
      }
    }
  }

  void broadcast(Tensor tensor, int root) override {
    CRIA_ASSERT(tensor.device == Device::cpu);
    broadcast(std::span(static_cast<std::byte*>(tensor.data), tensor.bytes()), root);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    constexpr size_t kPieceBytes = size_t{1} << 28;
    for (size_t begin = 0; begin < bytes.size(); begin += kPieceBytes) {
      const size_t count = std::min(kPieceBytes, bytes.size() - begin);
      CRIA_MPI(
          MPI_Bcast(bytes.data() + begin, static_cast<int>(count), MPI_BYTE, root, MPI_COMM_WORLD));
    }
  }

  void barrier() override { CRIA_MPI(MPI_Barrier(MPI_COMM_WORLD)); }

 private:
  // piece: size() parts of `count` elements, one for each rank. sums: this rank's part, summed over
  // the ranks in fp32 and in their order.
  template <typename T>
  void exchange_and_sum(const T* piece, T* parts, T* sums, int64_t count) {
    const int bytes = static_cast<int>(count * static_cast<int64_t>(sizeof(T)));
    CRIA_MPI(MPI_Alltoall(piece, bytes, MPI_BYTE, parts, bytes, MPI_BYTE, MPI_COMM_WORLD));
    for (int64_t i = 0; i < count; ++i) {
      float sum = 0;
      for (int r = 0; r < size_; ++r) sum += static_cast<float>(parts[r * count + i]);
      sums[i] = T(sum);
    }
  }

  int rank_ = 0;
  int size_ = 1;
};

// Set by Open MPI's mpirun, by PMI launchers such as MPICH's, and by srun --mpi=pmix.
bool launched_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK"}) {
    if (std::getenv(name)) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Communicator> make_communicator() {
  if (!launched_by_mpi()) return single_process_communicator();
  return std::make_unique<MpiCommunicator>();
}

void abort_ranks(int exit_code) {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

}  // namespace cria
