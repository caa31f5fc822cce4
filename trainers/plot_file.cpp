#include "trainers/plot_file.h"

#include <filesystem>

#include <spdlog/spdlog.h>

#include "cria/core/error.h"
#include "cria/io/atomic_directory.h"

namespace cria {

void write_plot_if_possible(const std::string& path, const Plot& plot) {
  try {
    write_file_atomically(path, render_svg(plot));
  } catch (const Error& error) {
    spdlog::warn("{} is left out: {}", std::filesystem::path(path).filename().string(),
                 error.what());
  }
}

}  // namespace cria
