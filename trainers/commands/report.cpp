// cria report: what runs came to, as a table here and as a page to look at.
#include "trainers/report/report.h"

#include <memory>

#include "trainers/commands/commands.h"

namespace cria {

void add_report_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "what runs and evaluations came to: a table, and an HTML page");
  auto options = std::make_shared<ReportOptions>();
  command
      ->add_option("runs", options->paths,
                   "directories of runs, JSON files of evaluations, or directories that hold them")
      ->required();
  command->add_option("--output", options->output,
                      "HTML file: everything in one page, which needs neither network nor scripts");
  command->add_option("--title", options->title, "of the page; default: the names of the runs");
  command->callback([options] { report(*options); });
}

}  // namespace cria
