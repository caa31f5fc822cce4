// The block of threads that a host thread runs at present: its scheduler, its barrier and its warp
// operations. Everything here happens on one host thread, so nothing needs a lock.
//
// A thread starts when its turn comes, on the fiber of one that has returned where there is one; so
// a kernel whose threads never wait for each other needs a single fiber and no switches. A thread
// that waits gives way to the next that can run. Which that is, the thread order says.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "cria/core/error.h"

#include "kernels/emulator/fiber.h"
#include "kernels/emulator/language.h"
#include "kernels/emulator/observer.h"
#include "kernels/emulator/thread_order.h"

namespace cria::emulated {

// Static and dynamic shared memory of a block on sm_90.
constexpr size_t kMaxSharedBytes = 227 * 1024;

// The launch that a block belongs to.
struct Launch {
  dim3 grid, block;
  size_t shared_bytes = 0;
  CallSite where;
  ThreadOrder order;
  const void* kernel = nullptr;
  void (*body)(const void*) = nullptr;
  const void* arguments = nullptr;
};

// "in rmsnorm_kernel at kernels/rmsnorm.cu:31"
std::string describe(CallSite where);

void check_alignment(const void* pointer, size_t bytes, CallSite where);

// cp.async: copies that a thread has started, in order, with the group that each belongs to.
struct PendingCopy {
  std::array<unsigned char, 16> data;
  size_t bytes;
  void* destination;
  int64_t group;
};
struct PendingCopies {
  std::vector<PendingCopy> copies;
  int64_t group = 0;  // the one that is open
};

class Block {
 public:
  static constexpr int kWarpLanes = 32;
  static constexpr int kMaxThreads = 1024;

  // The one of this host thread. `running` throws where no kernel runs.
  static Block& of_host_thread();
  static Block& running();

  Block() = default;
  ~Block();

  // Runs all threads of a block. Throws the first Error of a thread, or of the emulator.
  void run(const Launch& launch, uint3 index, uint64_t random_seed);

  // What the running thread asks for; each returns when all threads that it waits for have come.
  struct Votes {
    int set;  // threads whose predicate holds
    int all;  // threads that came
  };
  Votes barrier(const char* name, bool predicate, CallSite where);

  // A warp operation: when every lane of the mask has brought its request, the last calls
  // complete(requests by lane, mask), which writes the results into them.
  using Requests = std::array<void*, kWarpLanes>;
  void warp_operation(const char* name, unsigned mask, void* request,
                      void (*complete)(const Requests& requests, unsigned mask), CallSite where);

  int thread() const { return current_; }
  int threads() const { return thread_count_; }
  int lane() const { return current_ % kWarpLanes; }
  PendingCopies& pending_copies() { return threads_[static_cast<size_t>(current_)].copies; }

  // "kernel launched in … at …: block (0,0,0), thread (3,0,0)" and what is wrong.
  Error error(const std::string& problem) const;

  void* dynamic_shared() const { return dynamic_shared_; }
  size_t dynamic_shared_bytes() const { return dynamic_bytes_; }
  void count_static_shared(size_t bytes);

 private:
  struct Thread {
    uint3 index;
    Fiber* fiber = nullptr;  // while it waits
    CallSite where;          // of its wait
    const char* waits_in = nullptr;
    PendingCopies copies;
  };

  struct WarpOperation {
    const char* name;
    CallSite where;
    unsigned mask;
    unsigned arrived;
  };

  struct Warp {
    unsigned live = 0;       // lanes that exist and have not returned
    unsigned unstarted = 0;  // of these
    unsigned ready = 0;      // can run, or start
    int operations = 0;      // that wait for lanes; each has one at least, so 32 are enough
    std::array<WarpOperation, kWarpLanes> open;
    Requests requests;
  };

  static void run_fiber(void* block);
  void run_threads();  // what every fiber does
  void run_current_thread();
  void leave();       // the current thread has returned
  void wait();        // until the current thread is ready again
  int next_thread();  // out of the ready ones, as the order says; -1 when all have returned
  void make_current(int thread);
  bool start(int thread);  // true when it had not started
  Fiber& fiber_of(int thread);
  int choose(unsigned set);
  void make_ready(int warp, unsigned lanes);
  void release_barrier();
  void fail(std::exception_ptr error);
  Error deadlock() const;
  std::string state_of(int warp, int lane) const;
  std::string name_of(int thread) const;
  void prepare_threads(dim3 size);
  void prepare_dynamic_shared(size_t bytes);
  void check_dynamic_shared();

  const Launch* launch_ = nullptr;
  int thread_count_ = 0;
  int live_ = 0;
  int current_ = 0;
  uint64_t random_ = 0;
  std::vector<Thread> threads_;
  dim3 threads_made_for_ = dim3(0, 0, 0);
  std::array<Warp, kMaxThreads / kWarpLanes> warps_;
  unsigned ready_warps_ = 0;

  int barrier_arrived_ = 0;
  int barrier_predicates_ = 0;
  int barrier_first_ = 0;  // the thread that came first
  Votes barrier_votes_ = {};

  std::exception_ptr error_;
  Fiber host_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;  // fibers without a thread
  Fiber* fiber_ = nullptr;    // that runs

  void* dynamic_buffer_ = nullptr;
  unsigned char* dynamic_shared_ = nullptr;
  size_t dynamic_bytes_ = 0;
  size_t static_bytes_ = 0;
};

}  // namespace cria::emulated
