// Backend::run_recorded: a recording does what the ops that it was made of do.
#include "ops/op_test.h"

namespace cria::testing {

class RunRecorded : public OpTest {
 protected:
  // single = silu(gate) up of the product of input and weight: a kernel of each kind, a copy,
  // zeros.
  void queue() {
    backend().linear_forward({.output = product_.tensor(),
                              .input = input_.tensor(),
                              .weight = {.values = weight_.tensor()}});
    backend().zero(output_.tensor());
    backend().swiglu_forward({.output = half_.tensor(), .gate_up = product_.tensor()});
    backend().copy(output_.tensor(), half_.tensor());
    backend().cast(single_.tensor(), output_.tensor());
  }

  void set_input(uint64_t seed) {
    const DeviceTensor other(*this, {kRows, kColumns}, random_values(kRows * kColumns, seed));
    backend().copy(input_.tensor(), other.tensor());
  }

  static constexpr int64_t kRows = 5, kColumns = 24, kFeatures = 17;
  const DeviceTensor input_{*this, {kRows, kColumns}};
  const DeviceTensor weight_{
      *this, {2 * kFeatures, kColumns}, random_values(2 * kFeatures * kColumns, 1)};
  const DeviceTensor product_{*this, {kRows, 2 * kFeatures}};
  const DeviceTensor half_{*this, {kRows, kFeatures}};
  const DeviceTensor output_{*this, {kRows, kFeatures}};
  const DeviceTensor single_{*this, {kRows, kFeatures}, DType::f32};
  std::unique_ptr<Recording> recording_;
};
CRIA_OP_TEST_SUITE(RunRecorded);

TEST_P(RunRecorded, DoesWhatTheOpsDoOnWhatTheTensorsHold) {
  int calls = 0;
  for (uint64_t round = 0; round < 5; ++round) {
    set_input(10 + round);
    queue();
    const std::vector<uint8_t> expected = single_.bytes();
    backend().zero(single_.tensor());
    backend().zero(product_.tensor());
    backend().run_recorded(recording_, [&] { ++calls, queue(); });
    EXPECT_EQ(single_.bytes(), expected) << "round " << round;
  }
  EXPECT_EQ(calls, backend().device() == Device::cpu ? 5 : 2);
}

TEST_P(RunRecorded, BeginsAnewWithAnEmptyRecording) {
  for (uint64_t round = 0; round < 3; ++round) {
    set_input(round);
    backend().run_recorded(recording_, [&] { queue(); });
  }
  recording_.reset();
  int calls = 0;
  backend().run_recorded(recording_, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

// Work that fails while it is recorded is not half recorded.
TEST_P(RunRecorded, KeepsNothingOfWorkThatFails) {
  set_input(3);
  queue();
  const std::vector<uint8_t> expected = single_.bytes();
  backend().run_recorded(recording_, [&] { queue(); });
  EXPECT_THROW(backend().run_recorded(recording_,
                                      [&] {
                                        backend().zero(single_.tensor());
                                        throw failure("the test", "stops here");
                                      }),
               Error);
  for (int round = 0; round < 2; ++round) {
    backend().zero(single_.tensor());
    backend().run_recorded(recording_, [&] { queue(); });
    EXPECT_EQ(single_.bytes(), expected);
  }
}

TEST_P(RunRecorded, CannotHoldCopiesOfTheHost) {
  if (backend().device() == Device::cpu) GTEST_SKIP() << "nothing is recorded there";
  std::vector<float> host(static_cast<size_t>(kRows * kFeatures));
  set_input(4);
  queue();
  const auto copy = [&] { backend().copy_to_host(host.data(), single_.tensor()); };
  backend().run_recorded(recording_, copy);
  EXPECT_THROW(backend().run_recorded(recording_, copy), Error);
  EXPECT_THROW(backend().run_recorded(recording_, [&] { backend().synchronize(); }), Error);
}

}  // namespace cria::testing
