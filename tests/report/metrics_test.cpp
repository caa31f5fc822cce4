#include "cria/report/metrics.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "support/temporary_directory.h"

namespace cria {

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(MetricsFile, OneObjectALineInFullPrecision) {
  const TemporaryDirectory directory;
  MetricsFile metrics(directory / "metrics.jsonl", 0);
  metrics.write(1, {{"loss", 0.1 + 0.2}, {"grad_norm", 1.0}});
  metrics.write(2, {{"loss", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(text_of(directory / "metrics.jsonl"),
            "{\"step\":1,\"loss\":0.30000000000000004,\"grad_norm\":1.0}\n"
            "{\"step\":2,\"loss\":null}\n");
}

TEST(MetricsFile, ResumingTakesOutLaterStepsAndACutLine) {
  const TemporaryDirectory directory;
  {
    MetricsFile metrics(directory / "metrics.jsonl", 0);
    for (int64_t step = 1; step <= 5; ++step) metrics.write(step, {{"loss", 1.0}});
  }
  std::ofstream(directory / "metrics.jsonl", std::ios::app) << "{\"step\":6,\"lo";
  MetricsFile metrics(directory / "metrics.jsonl", 3);
  metrics.write(4, {{"loss", 2.0}});
  EXPECT_EQ(text_of(directory / "metrics.jsonl"),
            "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"loss\":1.0}\n{\"step\":3,\"loss\":1.0}\n"
            "{\"step\":4,\"loss\":2.0}\n");
}

TEST(MetricsFile, CannotWrite) {
  const TemporaryDirectory directory;
  EXPECT_THROW(MetricsFile(directory / "nowhere/metrics.jsonl", 0), Error);
}

}  // namespace

}  // namespace cria
