#include "trainers/model_shape.h"

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/model/parameters.h"

#include "support/places.h"

namespace cria {
namespace {

std::string shape_file(const std::string& name) {
  return testing::source_path("configs/models/" + name + ".yaml");
}

// Parameters as published, where the shape was.
TEST(ModelShape, FilesHaveTheParametersOfTheirNames) {
  struct Case {
    const char* name;
    int64_t parameters;
  };
  const Case cases[] = {
      {"tiny", 803'968},
      {"15m", 15'191'712},
      {"110m", 109'529'856},
      {"tinyllama-1.1b", 1'100'048'384},
      {"llama2-7b", 6'738'415'616},
      {"llama2-13b", 13'015'864'320},
      {"llama2-34b", 33'743'970'304},
      {"llama2-70b", 68'976'648'192},
  };
  for (const Case& c : cases) {
    const ModelConfig config = read_model_shape(shape_file(c.name), {});
    EXPECT_EQ(ParameterLayout(config).parameter_count(), c.parameters) << c.name;
  }
}

TEST(ModelShape, AssignmentsComeAfterTheFile) {
  const ModelConfig config =
      read_model_shape(shape_file("15m"), {"vocab_size=100", "num_key_value_heads=2"});
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 48);
  EXPECT_TRUE(config.tie_word_embeddings);
}

TEST(ModelShape, HeadsThatDoNotDivideAreRefused) {
  EXPECT_THROW(read_model_shape(shape_file("15m"), {"num_attention_heads=7"}), Error);
  EXPECT_EQ(read_model_shape(shape_file("15m"), {"num_attention_heads=7", "head_dim=32"}).head_dim,
            32);
}

}  // namespace
}  // namespace cria
