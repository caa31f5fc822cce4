// That the memory of docs/roofline.md is what the trainers plan.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "trainers/learner.h"
#include "trainers/model_shape.h"

namespace cria::testing {

namespace {

std::string roofline_page() {
  std::ostringstream text;
  text << std::ifstream(std::string(CRIA_SOURCE_DIR) + "/docs/roofline.md").rdbuf();
  return text.str();
}

// The plan of a step at these sizes with gradients and moments in bf16, as a table of the page.
std::string planned(const std::string& shape, int64_t micro_batch_tokens) {
  const ModelConfig config =
      read_model_shape(std::string(CRIA_SOURCE_DIR) + "/configs/models/" + shape + ".yaml", {});
  const std::unique_ptr<Backend> backend = make_backend("emulated");  // plans as `cuda` does
  Arena arena(backend->memory());
  PassBuffers passes(config, DType::bf16, {.max_tokens = micro_batch_tokens});
  Learner learner(config, *backend, DType::bf16,
                  {.gradient_dtype = DType::bf16, .moment_dtype = DType::bf16}, passes);
  learner.reserve(arena);
  std::istringstream lines(arena.table());
  std::string table;
  for (std::string line; std::getline(lines, line);) {
    const size_t name = line.find_first_not_of(' '), value_end = line.find_last_not_of(' ');
    const size_t name_end = line.find("  ", name);
    const size_t value = line.find_first_not_of(' ', name_end);
    table += "| " + line.substr(name, name_end - name) + " | " +
             line.substr(value, value_end + 1 - value) + " |\n";
  }
  return table;
}

TEST(MemoryPlan, IsThatOfTheRoofline) {
  try {
    make_backend("emulated");
  } catch (const Error&) {
    GTEST_SKIP() << "built without the emulator";
  }
  const std::string page = roofline_page();
  for (const auto& [shape, tokens] : {std::pair{"llama2-7b", 16384}, {"tinyllama-1.1b", 65536}}) {
    const std::string table = planned(shape, tokens);
    EXPECT_NE(page.find(table), std::string::npos) << table;
  }
}

}  // namespace

}  // namespace cria::testing
