#include "trainers/sample_files.h"

#include <filesystem>

#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/file.h"

namespace cria {

using nlohmann::ordered_json;

void keep_sampling_settings(const ordered_json& settings, const std::string& path,
                            const std::string& samples) {
  if (!std::filesystem::exists(samples)) {
    write_file_atomically(path, settings.dump(2) + "\n");
    return;
  }
  const ordered_json kept = std::filesystem::exists(path)
                                ? ordered_json::parse(read_file(path), nullptr, false)
                                : ordered_json();
  if (!kept.is_object()) {
    throw input_error(samples, "is there, but not the settings that it was sampled with: " + path,
                      "choose another training.output_dir");
  }
  for (const auto& [key, value] : settings.items()) {
    if (kept.contains(key) && kept[key] == value) continue;
    throw input_error(
        key,
        fmt::format("{} was sampled with {}, this run has {}", samples,
                    kept.contains(key) ? kept[key].dump() : "no such key", value.dump()),
        "use the same, or another training.output_dir for new samples");
  }
}

nlohmann::ordered_json file_checksums(const std::vector<std::string>& paths) {
  nlohmann::ordered_json checksums = nlohmann::ordered_json::array();
  for (const std::string& path : paths) checksums.push_back(sha256(read_file(path)));
  return checksums;
}

std::string gather_text(Communicator& communicator, const std::string& mine) {
  std::vector<double> sizes(static_cast<size_t>(communicator.size()), 0.0);
  sizes[static_cast<size_t>(communicator.rank())] = static_cast<double>(mine.size());
  communicator.all_reduce_sum(std::span<double>(sizes));
  std::string all;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    std::string text = rank == communicator.rank()
                           ? mine
                           : std::string(static_cast<size_t>(sizes[static_cast<size_t>(rank)]), 0);
    communicator.broadcast(std::as_writable_bytes(std::span(text)), rank);
    all += text;
  }
  return all;
}

}  // namespace cria
