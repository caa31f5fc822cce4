// What the ranks of a run say to each other. Tensors are in host memory. Every call is collective:
// all ranks make the same calls in the same order. Sums are formed in the order of the ranks, so
// they are the same bits on every rank and in every run with that rank count.
#pragma once

#include <memory>
#include <span>
#include <type_traits>

#include "cria/core/tensor.h"

namespace cria {

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual void all_reduce_sum(Tensor tensor) = 0;             // fp32 or bf16, in place
  virtual void all_reduce_sum(std::span<double> values) = 0;  // host figures: losses, counts
  virtual void reduce_scatter_sum(Tensor output,
                                  Tensor input) = 0;         // input: size() parts of output's size
  virtual void all_gather(Tensor output, Tensor input) = 0;  // output: size() parts of input's size
  virtual void broadcast(Tensor tensor, int root) = 0;
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  virtual void barrier() = 0;

  bool is_root() const { return rank() == 0; }
};

// The root's value, on every rank: of what it alone looks at.
template <typename Value>
Value from_root(Communicator& communicator, Value value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  communicator.broadcast(std::as_writable_bytes(std::span(&value, 1)), 0);
  return value;
}

// One process: every call is a copy or nothing.
std::unique_ptr<Communicator> single_process_communicator();

// MPI over host memory when mpirun or srun started this process, else a single process. One a
// process.
std::unique_ptr<Communicator> make_communicator();

// Ends all ranks of an MPI run (and does not return); does nothing otherwise. For main(), so that a
// rank that fails brings the others down.
void abort_ranks(int exit_code);

}  // namespace cria
