// A fiber: a stack of its own that a host thread can run on, on Boost.Context's fcontext.
// AddressSanitizer is told of every switch (Debian's Boost.Context does not do it).
#pragma once

#include <cstddef>

namespace cria::emulated {

class Fiber {
 public:
  using Entry = void (*)(void*);  // never returns

  // The host thread itself, on the stack it has.
  Fiber() = default;
  // entry(argument) runs on the first switch to it. `number` spreads the stacks of fibers over the
  // sets of the caches.
  Fiber(Entry entry, void* argument, size_t number);
  Fiber(const Fiber&) = delete;
  ~Fiber();

  // Leaves this fiber, which must be the one that runs, for another; returns when somebody switches
  // back.
  void switch_to(Fiber& other);

 private:
  struct Start;

  void* context_ = nullptr;       // where to go on, while it does not run
  void* mapping_ = nullptr;       // guard page and stack
  const void* bottom_ = nullptr;  // of the stack
  size_t bytes_ = 0;              // of the stack
  void* fake_stack_ = nullptr;    // AddressSanitizer's
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace cria::emulated
