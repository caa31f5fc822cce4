#include "kernels/emulator/block.h"

#include <bit>
#include <string_view>

#ifdef __BMI2__
#include <immintrin.h>
#endif

namespace cria::emulated {

namespace {

// The member of a set that has `below` members below it.
int member(unsigned set, unsigned below) {
#ifdef __BMI2__
  return std::countr_zero(_pdep_u32(1u << below, set));
#else
  for (; below > 0; --below) set &= set - 1;
  return std::countr_zero(set);
#endif
}

// Unwinds a thread that will never get what it waits for.
struct Cancelled {};

bool same_line(const CallSite& a, const CallSite& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name());
}

std::string triple(unsigned x, unsigned y, unsigned z) {
  return fmt::format("({},{},{})", x, y, z);
}

thread_local constinit Block* running_block = nullptr;

}  // namespace

std::string describe(CallSite where) {
  // "void cria::emulated::{anonymous}::kernel(T*, int) [with T = float]" -> "kernel"
  std::string_view name = where.function_name();
  name = name.substr(0, name.find('('));
  name = name.substr(0, name.find('<'));
  if (const size_t space = name.find_last_of(": "); space != name.npos)
    name.remove_prefix(space + 1);
  return fmt::format("in {} at {}:{}", name, where.file_name(), where.line());
}

Block& Block::of_host_thread() {
  static thread_local Block block;
  return block;
}

Block& Block::running() {
  if (!running_block) {
    throw failure("emulator", "a device function was called outside of a kernel");
  }
  return *running_block;
}

Error Block::error(const std::string& problem) const {
  return failure(fmt::format("kernel launched {}", describe(launch_->where)),
                 fmt::format("block {}, {} {}", triple(blockIdx.x, blockIdx.y, blockIdx.z),
                             name_of(current_), problem));
}

std::string Block::name_of(int thread) const {
  const uint3 index = threads_[static_cast<size_t>(thread)].index;
  return "thread " + triple(index.x, index.y, index.z);
}

// --- A block from start to end. ---

void Block::run(const Launch& launch, uint3 index, uint64_t random_seed) {
  CRIA_ASSERT(!running_block);  // kernels cannot launch kernels
  struct Running {
    explicit Running(Block* block) { running_block = block; }
    ~Running() { running_block = nullptr; }
  };
  const Running until_return(this);
  launch_ = &launch;
  blockIdx = index;
  blockDim = launch.block;
  gridDim = launch.grid;
  random_ = random_seed;
  error_ = nullptr;
  barrier_arrived_ = barrier_predicates_ = 0;
  prepare_threads(launch.block);
  prepare_dynamic_shared(launch.shared_bytes);
  ++detail::block_epoch;
  static_bytes_ = 0;

  if (observer) observer->block_begins(*this);
  make_current(next_thread());
  fiber_ = &fiber_of(current_);
  host_.switch_to(*fiber_);  // until all threads have returned
  if (observer) observer->block_ends();
  try {
    if (!error_) check_dynamic_shared();
  } catch (...) {
    error_ = std::current_exception();
  }
  if (error_) std::rethrow_exception(error_);
}

void Block::prepare_threads(dim3 size) {
  thread_count_ = static_cast<int>(size.x * size.y * size.z);
  live_ = thread_count_;
  const dim3& made = threads_made_for_;
  if (made.x != size.x || made.y != size.y || made.z != size.z) {
    threads_made_for_ = size;
    threads_.resize(static_cast<size_t>(thread_count_));
    for (unsigned i = 0; i < threads_.size(); ++i) {
      threads_[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    }
  }
  ready_warps_ = 0;
  for (int begin = 0; begin < thread_count_; begin += kWarpLanes) {
    Warp& warp = warps_[static_cast<size_t>(begin / kWarpLanes)];
    const int lanes = thread_count_ - begin;
    warp.live = lanes >= kWarpLanes ? ~0u : (1u << lanes) - 1;
    warp.unstarted = warp.live;
    warp.operations = 0;
    make_ready(begin / kWarpLanes, warp.live);
  }
}

void Block::run_fiber(void* block) { static_cast<Block*>(block)->run_threads(); }

void Block::run_threads() {
  Fiber& self = *fiber_;
  for (;;) {
    run_current_thread();
    leave();
    const int next = next_thread();
    if (next >= 0) {
      make_current(next);
      if (start(next)) continue;
    }
    idle_.push_back(&self);
    fiber_ = next >= 0 ? threads_[static_cast<size_t>(next)].fiber : &host_;
    self.switch_to(*fiber_);
  }
}

void Block::run_current_thread() {
  PendingCopies& copies = pending_copies();
  copies.copies.clear();  // what the thread of an earlier block never waited for
  copies.group = 0;
  try {
    launch_->body(launch_->arguments);
  } catch (const Cancelled&) {
  } catch (const Error& error) {
    const bool from_here = std::string_view(error.what()).starts_with("kernel launched ");
    fail(from_here ? std::current_exception()
                   : std::make_exception_ptr(this->error(fmt::format("failed: {}", error.what()))));
  } catch (...) {
    fail(std::current_exception());
  }
}

void Block::leave() {
  Warp& warp = warps_[static_cast<size_t>(current_ / kWarpLanes)];
  const unsigned bit = 1u << lane();
  warp.live &= ~bit;
  warp.ready &= ~bit;
  if (warp.ready == 0) ready_warps_ &= ~(1u << (current_ / kWarpLanes));
  --live_;
  if (live_ > 0 && barrier_arrived_ == live_) release_barrier();
}

// --- Who runs next. ---

int Block::choose(unsigned set) {
  switch (launch_->order.kind) {
    case ThreadOrder::Kind::forward:
      return std::countr_zero(set);
    case ThreadOrder::Kind::reverse:
      return 31 - std::countl_zero(set);
    case ThreadOrder::Kind::shuffled:
      break;
  }
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
  const auto count = static_cast<uint64_t>(std::popcount(set));
  return member(set, static_cast<unsigned>((random_ >> 32) * count >> 32));
}

void Block::make_ready(int warp, unsigned lanes) {
  if (lanes == 0) return;
  warps_[static_cast<size_t>(warp)].ready |= lanes;
  ready_warps_ |= 1u << warp;
}

int Block::next_thread() {
  if (ready_warps_ == 0) {
    if (live_ == 0) return -1;
    fail(std::make_exception_ptr(deadlock()));
    if (ready_warps_ == 0) return -1;
  }
  const int index = choose(ready_warps_);
  Warp& warp = warps_[static_cast<size_t>(index)];
  const int lane = choose(warp.ready);
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << index);
  return index * kWarpLanes + lane;
}

void Block::make_current(int thread) {
  current_ = thread;
  threadIdx = threads_[static_cast<size_t>(thread)].index;
}

bool Block::start(int thread) {
  Warp& warp = warps_[static_cast<size_t>(thread / kWarpLanes)];
  const unsigned bit = 1u << (thread % kWarpLanes);
  const bool starts = warp.unstarted & bit;
  warp.unstarted &= ~bit;
  return starts;
}

// The one on which a thread waits, or will start.
Fiber& Block::fiber_of(int thread) {
  const Warp& warp = warps_[static_cast<size_t>(thread / kWarpLanes)];
  if (!(warp.unstarted >> thread % kWarpLanes & 1u)) {
    return *threads_[static_cast<size_t>(thread)].fiber;
  }
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&Block::run_fiber, this, fibers_.size()));
    idle_.push_back(fibers_.back().get());
  }
  start(thread);
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Block::wait() {
  const int self = current_;
  const int next = next_thread();
  if (next != self) {
    Fiber& here = *fiber_;
    threads_[static_cast<size_t>(self)].fiber = &here;
    fiber_ = &fiber_of(next);
    make_current(next);
    here.switch_to(*fiber_);
  }
  threads_[static_cast<size_t>(self)].waits_in = nullptr;
  if (error_) throw Cancelled();
}

// --- What threads wait for. ---

Block::Votes Block::barrier(const char* name, bool predicate, CallSite where) {
  Thread& thread = threads_[static_cast<size_t>(current_)];
  if (barrier_arrived_ == 0) {
    barrier_first_ = current_;
  } else {
    const Thread& first = threads_[static_cast<size_t>(barrier_first_)];
    if (!same_line(first.where, where)) {
      throw error(fmt::format(
          "came to {} {} while {} waits in {} {}: a barrier takes all threads "
          "of the block",
          name, describe(where), name_of(barrier_first_), first.waits_in, describe(first.where)));
    }
  }
  thread.where = where;
  thread.waits_in = name;
  ++barrier_arrived_;
  barrier_predicates_ += predicate;
  if (barrier_arrived_ == live_) release_barrier();
  wait();
  return barrier_votes_;
}

void Block::release_barrier() {
  barrier_votes_ = {barrier_predicates_, barrier_arrived_};
  barrier_arrived_ = barrier_predicates_ = 0;
  for (int warp = 0; warp * kWarpLanes < thread_count_; ++warp) {
    make_ready(warp, warps_[static_cast<size_t>(warp)].live);
    if (observer) observer->warp_meets(warp);
  }
}

void Block::warp_operation(const char* name, unsigned mask, void* request,
                           void (*complete)(const Requests& requests, unsigned mask),
                           CallSite where) {
  const int warp_index = current_ / kWarpLanes;
  Warp& warp = warps_[static_cast<size_t>(warp_index)];
  const unsigned bit = 1u << lane();
  if (!(mask & bit)) {
    throw error(fmt::format("calls {} {} with the mask {:#010x}, which lacks its own lane {}", name,
                            describe(where), mask, lane()));
  }
  int slot = 0;
  while (slot < warp.operations && warp.open[static_cast<size_t>(slot)].mask != mask) ++slot;
  WarpOperation& operation = warp.open[static_cast<size_t>(slot)];
  if (slot == warp.operations) {
    operation = {.name = name, .where = where, .mask = mask, .arrived = 0};
    ++warp.operations;
  } else if (operation.name != name || !same_line(operation.where, where)) {
    throw error(
        fmt::format("came to {} {} while lane {} waits in {} {} with the same mask {:#010x}", name,
                    describe(where), std::countr_zero(operation.arrived), operation.name,
                    describe(operation.where), mask));
  }
  Thread& thread = threads_[static_cast<size_t>(current_)];
  thread.where = where;
  thread.waits_in = name;
  warp.requests[static_cast<size_t>(lane())] = request;
  operation.arrived |= bit;
  if (operation.arrived == mask) {
    operation = warp.open[static_cast<size_t>(--warp.operations)];
    complete(warp.requests, mask);
    if (observer && mask == warp.live) observer->warp_meets(warp_index);
    make_ready(warp_index, mask);
  }
  wait();
}

// --- What can go wrong. ---

// Every thread that waits is let go to unwind; those that have not started never do.
void Block::fail(std::exception_ptr error) {
  if (error_) return;
  error_ = std::move(error);
  barrier_arrived_ = 0;
  ready_warps_ = 0;
  for (int index = 0; index * kWarpLanes < thread_count_; ++index) {
    Warp& warp = warps_[static_cast<size_t>(index)];
    live_ -= std::popcount(warp.unstarted);
    warp.live &= ~warp.unstarted;
    warp.unstarted = 0;
    warp.ready = 0;
    make_ready(index, warp.live);
  }
}

Error Block::deadlock() const {
  for (int index = 0; index * kWarpLanes < thread_count_; ++index) {
    const Warp& warp = warps_[static_cast<size_t>(index)];
    if (warp.operations == 0) continue;
    const WarpOperation& operation = warp.open[0];
    const int waiting = index * kWarpLanes + std::countr_zero(operation.arrived);
    const int missing = std::countr_zero(operation.mask & ~operation.arrived);
    return failure(
        fmt::format("kernel launched {}", describe(launch_->where)),
        fmt::format("block {}, {} waits for ever in {} {} for the lanes of the mask {:#010x}: {}",
                    triple(blockIdx.x, blockIdx.y, blockIdx.z), name_of(waiting), operation.name,
                    describe(operation.where), operation.mask, state_of(index, missing)));
  }
  return error("waits for ever");
}

std::string Block::state_of(int warp, int lane) const {
  const int index = warp * kWarpLanes + lane;
  if (index >= thread_count_) return fmt::format("the block has no lane {}", lane);
  if (!(warps_[static_cast<size_t>(warp)].live >> lane & 1u)) {
    return fmt::format("lane {}, {}, has returned", lane, name_of(index));
  }
  const Thread& thread = threads_[static_cast<size_t>(index)];
  return fmt::format("lane {}, {}, waits in {} {}", lane, name_of(index), thread.waits_in,
                     describe(thread.where));
}

}  // namespace cria::emulated
