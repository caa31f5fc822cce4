// What a run tells while it goes on: a progress bar or plain lines, and curves for TensorBoard.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include <gtest/gtest.h>

#include "runs/small_run.h"
#include "runs/terminal_process.h"
#include "support/event_reader.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

// metrics.jsonl as curves in fp32.
Curves metrics_curves(const std::string& run) {
  Curves curves;
  std::ifstream file(run + "/metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const auto object = nlohmann::json::parse(line);
    for (const auto& [name, value] : object.items()) {
      if (name == "step") continue;
      curves[name].emplace_back(object["step"].get<int64_t>(),
                                static_cast<float>(value.get<double>()));
    }
  }
  return curves;
}

TEST(RunReport, TensorBoardHasTheCurvesOfMetricsAlsoAfterAKill) {
  const SmallRun small(Trainer::sft);
  const std::vector<std::string> settings = {
      "checkpoint.save_steps=20", "training.max_steps=60", "training.eval_steps=15",
      "data.eval=[{path: " + small.path("data/sft_clean.jsonl") + "}]"};
  auto stopped = settings;
  stopped.push_back("training.stop_at_step=10");
  run_cria_well(small.command("run", stopped));
  {
    Process process(small.command("run", settings));
    std::error_code missing;
    while (process.running() && (!fs::exists(small.path("run/metrics.jsonl"), missing) ||
                                 read_lines(small.path("run/metrics.jsonl")) < 27)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    process.signal(SIGKILL);
    ASSERT_EQ(process.wait().exit_code, -SIGKILL);
  }
  // Killed, it has what was logged.
  const Curves killed = read_curves(small.path("run/tensorboard"));
  EXPECT_GE(killed.at("loss").size(), 25u);
  run_cria_well(small.command("run", settings));

  const Curves curves = read_curves(small.path("run/tensorboard"));
  EXPECT_EQ(curves, metrics_curves(small.path("run")));
  EXPECT_EQ(curves.at("loss").size(), 60u);
  EXPECT_EQ(curves.at("eval_loss").size(), 4u);
  EXPECT_EQ(event_files(small.path("run/tensorboard")).size(), 3u);
}

// ps, top and pgrep know a run by the program's name.
TEST(RunReport, AProcessIsCalledCria) {
  const SmallRun small(Trainer::sft);
  Process process(small.command("run", {"training.max_steps=100000"}));
  std::error_code missing;
  while (process.running() && !fs::exists(small.path("run/metrics.jsonl"), missing)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(read_bytes("/proc/" + std::to_string(process.pid()) + "/comm"), "cria\n");
}

TEST(RunReport, NoTensorBoardWhereItIsSwitchedOff) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("run", {"logging.tensorboard=false", "training.stop_at_step=2"}));
  EXPECT_TRUE(fs::exists(small.path("run/metrics.jsonl")));
  EXPECT_FALSE(fs::exists(small.path("run/tensorboard")));
}

TEST(RunReport, PlainLinesWherePiped) {
  const SmallRun small(Trainer::sft);
  const ProcessResult result = run_cria(small.command("run"));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.output.find("step 12/12  loss "), std::string::npos) << result.output;
  for (const char* control : {"\r", "\x1b"}) {
    EXPECT_EQ((result.output + result.errors).find(control), std::string::npos) << result.output;
  }
}

// mpirun gives its ranks pseudo-terminals, whatever becomes of its own output.
TEST(RunReport, PlainLinesAndOneEventFileUnderMpirun) {
  const SmallRun small(Trainer::sft);
  setenv("TERM", "xterm", 1);
  const ProcessResult result =
      Process({"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", "--mca",
               "mpi_yield_when_idle", "1", "-x", "OMP_NUM_THREADS=1"},
              small.command("run", {"training.max_steps=3"}))
          .wait();
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("step 3/3  loss "), std::string::npos) << result.output;
  EXPECT_EQ(result.output.find('\x1b'), std::string::npos) << result.output;
  EXPECT_EQ(event_files(small.path("run/tensorboard")).size(), 1u);
  EXPECT_EQ(read_curves(small.path("run/tensorboard")), metrics_curves(small.path("run")));
}

// The lines of `text` as a terminal shows them, without those that were drawn over.
std::vector<std::string> last_drawn(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    line = line.substr(line.rfind('\r') + 1);  // npos + 1 is 0
    for (size_t at = 0; (at = line.find("\x1b[K")) != std::string::npos;) line.erase(at, 3);
    lines.push_back(line);
  }
  return lines;
}

bool has_line(const std::vector<std::string>& lines, const std::string& pattern) {
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
    return std::regex_match(line, std::regex(pattern));
  });
}

const char* const kFigures = "loss \\d\\.\\d{4}  \\d+ tokens/s";

TEST(RunReport, ABarOnATerminal) {
  const SmallRun small(Trainer::sft);
  TerminalProcess terminal(small.command("run", {"training.max_steps=40"}), 90);
  const std::string text = terminal.read_to_end();
  EXPECT_EQ(terminal.wait(), 0);
  const std::string bar = "step \\d+/40 \\[=*>? *\\] +\\d+%  ";
  EXPECT_TRUE(std::regex_search(text, std::regex("\r" + bar + kFigures + "  \\d:\\d\\d left")))
      << text;
  EXPECT_EQ(text.find("  grad_norm "), std::string::npos) << "plain lines: " << text;
  const std::vector<std::string> lines = last_drawn(text);
  EXPECT_TRUE(has_line(lines, bar + kFigures + "  in \\d:\\d\\d")) << text;
  EXPECT_TRUE(has_line(lines, ".*step 40/40  saved .*/checkpoint-40")) << text;
  EXPECT_TRUE(has_line(lines, ".*finished: .*/final")) << text;
  for (const std::string& line : lines) {
    EXPECT_TRUE(!line.starts_with("step ") || line.size() < 90) << line;
  }
}

TEST(RunReport, CtrlCLeavesTheTerminalTidy) {
  const SmallRun small(Trainer::sft);
  TerminalProcess terminal(
      small.command("run", {"training.max_steps=100000", "checkpoint.save_steps=0"}), 90);
  terminal.read_until(" left");
  terminal.type("\x03");
  const std::string text = terminal.read_to_end();
  EXPECT_EQ(terminal.wait(), 128 + SIGINT);
  const std::vector<std::string> lines = last_drawn(text);
  ASSERT_GE(lines.size(), 2u) << text;
  EXPECT_TRUE(std::regex_match(lines[lines.size() - 2],
                               std::regex(std::string("step .*  ") + kFigures + "  in \\d:\\d\\d")))
      << text;
  EXPECT_NE(lines.back().find("stopped by signal 2 after step"), std::string::npos) << text;
}

TEST(RunReport, AnErrorLeavesTheTerminalTidy) {
  const SmallRun small(Trainer::sft);
  TerminalProcess terminal(
      small.command("run", {"training.max_steps=1000", "optimizer.learning_rate=1e30",
                            "optimizer.max_grad_norm=0"}),
      90);
  const std::string text = terminal.read_to_end();
  EXPECT_EQ(terminal.wait(), 1);
  const std::vector<std::string> lines = last_drawn(text);
  ASSERT_GE(lines.size(), 2u) << text;
  EXPECT_TRUE(std::regex_match(lines[lines.size() - 2], std::regex("step \\d+/1000 .*in 0:\\d\\d")))
      << text;
  EXPECT_TRUE(lines.back().starts_with("error: step ")) << text;
}

}  // namespace

}  // namespace cria::testing
