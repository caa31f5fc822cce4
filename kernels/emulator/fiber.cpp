#include "kernels/emulator/fiber.h"

#include <boost/context/detail/fcontext.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include "cria/core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cria::emulated {

namespace context = boost::context::detail;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kStackBytes = 512 * 1024;  // redzones around every local variable
#else
constexpr size_t kStackBytes = 128 * 1024;
#endif
constexpr size_t kColours = 32;
constexpr size_t kColourBytes = 128;

void start_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
                  [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#endif
}

void finish_switch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from_bottom,
                   [[maybe_unused]] size_t* from_bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, from_bottom, from_bytes);
#endif
}

}  // namespace

// The first code on a new stack. Where a fiber runs, the one that switched to it is `transfer.data`
// and waits at `transfer.fctx`.
struct Fiber::Start {
  struct Switch {
    Fiber* from;
    Fiber* to;
  };

  static void run(context::transfer_t transfer) {
    const Switch here = *static_cast<Switch*>(transfer.data);
    here.from->context_ = transfer.fctx;
    // A host thread learns the bounds of its stack here: its first switch is to a new fiber.
    finish_switch(nullptr, &here.from->bottom_, &here.from->bytes_);
    here.to->entry_(here.to->argument_);
  }
};

Fiber::Fiber(Entry entry, void* argument, size_t number) : entry_(entry), argument_(argument) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = kStackBytes;
  // Stacks grow down, into a page that may not be touched.
  mapping_ =
      mmap(nullptr, page + bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) {
    throw system_failure("emulator", "the stack of a thread cannot be mapped");
  }
  if (mprotect(static_cast<char*>(mapping_) + page, bytes_, PROT_READ | PROT_WRITE) != 0) {
    const Error error = system_failure("emulator", "the stack of a thread cannot be mapped");
    munmap(mapping_, page + bytes_);
    throw error;
  }
  char* bottom = static_cast<char*>(mapping_) + page;
  bottom_ = bottom;
  const size_t usable = bytes_ - number % kColours * kColourBytes;
  context_ = context::make_fcontext(bottom + usable, usable, &Start::run);
}

Fiber::~Fiber() {
  if (!mapping_) return;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(bottom_, bytes_);  // whoever gets these pages next
#endif
  munmap(mapping_, static_cast<size_t>(sysconf(_SC_PAGESIZE)) + bytes_);
}

void Fiber::switch_to(Fiber& other) {
  Start::Switch here{this, &other};
  start_switch(&fake_stack_, other.bottom_, other.bytes_);
  const context::transfer_t transfer = context::jump_fcontext(other.context_, &here);
  finish_switch(fake_stack_, nullptr, nullptr);
  static_cast<Start::Switch*>(transfer.data)->from->context_ = transfer.fctx;
}

}  // namespace cria::emulated
