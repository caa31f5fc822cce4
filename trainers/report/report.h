// cria report: what runs came to, as one page that needs nothing else (docs/report.md).
#pragma once

#include <string>
#include <vector>

namespace cria {

struct ReportOptions {
  std::vector<std::string> paths;  // runs, files of figures, directories of both
  std::string output;              // the HTML file; empty: tables on the terminal alone
  std::string title;               // empty: the names of the paths
};

void report(const ReportOptions& options);

}  // namespace cria
