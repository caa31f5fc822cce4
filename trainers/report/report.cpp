#include "trainers/report/report.h"

#include <filesystem>

#include "cria/io/atomic_directory.h"

#include "trainers/report/right_answers.h"
#include "trainers/report/sections.h"
#include "trainers/report/summary.h"

namespace cria {

namespace {

std::string title_of_page(const ReportOptions& options) {
  if (!options.title.empty()) return options.title;
  std::string title;
  for (const std::string& path : options.paths) {
    std::filesystem::path name = std::filesystem::absolute(path).lexically_normal();
    if (!name.has_filename()) name = name.parent_path();
    title += (title.empty() ? "" : ", ") + name.filename().string();
  }
  return title;
}

// "6 runs, 9 evaluations": what there is of each.
std::string contents_of(const RunFiles& files) {
  std::string text;
  const auto add = [&](size_t count, const char* one, const char* many) {
    if (count == 0) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, count == 1 ? one : many);
  };
  add(files.runs.size(), "run", "runs");
  add(files.figures.size(), "evaluation", "evaluations");
  add(files.pictures.size(), "picture", "pictures");
  add(files.answers.size(), "file of answers", "files of answers");
  return text + ", shown by cria report.";
}

void print_tables(const RunFiles& files) {
  const Table runs = run_table(files);
  if (!runs.empty()) fmt::print("{}", plain_text(runs));
  for (const StageSet& set : right_answers(files)) {
    fmt::print("\n{}{}", set.title.empty() ? "" : "at " + set.title + "\n",
               plain_text(right_answer_table(set)));
  }
  for (const Table& table : consistency_tables(files)) {
    fmt::print("\ninstructions followed\n{}", plain_text(table));
  }
}

}  // namespace

void report(const ReportOptions& options) {
  const RunFiles files = find_run_files(options.paths);
  if (!options.output.empty()) {
    const std::vector<Section> sections = {summary_section(files),
                                           right_answer_section(files),
                                           training_section(files),
                                           reward_model_section(files),
                                           best_of_n_section(files),
                                           dpo_section(files),
                                           ppo_section(files),
                                           iterations_section(files),
                                           reward_distribution_section(files),
                                           consistency_section(files),
                                           self_bleu_section(files),
                                           win_rate_section(files),
                                           red_team_section(files),
                                           likelihood_section(files),
                                           picture_section(files),
                                           dialogue_section(files),
                                           config_section(files)};
    write_file_atomically(options.output,
                          page_html(title_of_page(options), contents_of(files), sections));
  }
  print_tables(files);
  if (!options.output.empty()) fmt::print("\nreport: {}\n", options.output);
}

}  // namespace cria
