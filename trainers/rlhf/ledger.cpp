#include "trainers/rlhf/ledger.h"

#include <algorithm>
#include <filesystem>

#include "cria/core/error.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/file.h"

namespace cria {

namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

bool is_entry(const ordered_json& entry) {
  if (!entry.is_object() || !entry.value("inputs", ordered_json()).is_object()) return false;
  const auto& inputs = entry["inputs"];
  return entry.contains("stage") && entry["stage"].is_string() &&
         entry.value("outputs", ordered_json()).is_object() && entry.contains("done") &&
         entry["done"].is_boolean() &&
         std::all_of(inputs.begin(), inputs.end(), [](const ordered_json& input) {
           return input.is_object() && input.contains("sha256") && input["sha256"].is_string();
         });
}

}  // namespace

std::string checksum_of(const std::string& path) {
  if (!fs::exists(path)) throw input_error(path, "is not there");
  if (!fs::is_directory(path)) return sha256(read_file(path));
  const std::string tokenizer = path + "/tokenizer.model";
  const std::string tokens = fs::exists(tokenizer) ? sha256(read_file(tokenizer)) : "none";
  return sha256(fmt::format("model {}, tokenizer {}", model_checksum(path), tokens));
}

Ledger::Ledger(std::string path) : path_(std::move(path)) {
  if (!fs::exists(path_)) return;
  const ordered_json ledger = ordered_json::parse(read_file(path_), nullptr, false);
  const bool has_stages = ledger.is_object() && ledger.value("stages", ordered_json()).is_array();
  if (!has_stages || !std::all_of(ledger["stages"].begin(), ledger["stages"].end(), is_entry)) {
    throw input_error(path_, "is no ledger of iterations",
                      "put it back as it was, or choose another training.output_dir");
  }
  stages_ = ledger["stages"];
}

ordered_json* Ledger::find(const std::string& stage) {
  const auto entry = std::find_if(stages_.begin(), stages_.end(), [&](const ordered_json& other) {
    return other["stage"] == stage;
  });
  return entry == stages_.end() ? nullptr : &*entry;
}

const std::string& Ledger::checksum(const std::string& path) {
  std::string& sum = checksums_[path];
  if (sum.empty()) sum = checksum_of(path);
  return sum;
}

void Ledger::check(const StageFiles& stage, const ordered_json& entry) {
  const std::string since = entry["done"].get<bool>() ? "was made" : "began";
  const auto changed = [&](const std::string& path, const std::string& what) {
    return input_error(
        path, fmt::format("{} since {} {}", what, stage.name, since),
        fmt::format("put it back as it was, or remove {} and the stages after it, which are then "
                    "done again",
                    stage.directory));
  };
  const ordered_json& inputs = entry["inputs"];
  for (const auto& [role, path] : stage.inputs) {
    if (!inputs.contains(role)) throw changed(path, fmt::format("{} has been added", role));
    if (!fs::exists(path)) throw changed(path, fmt::format("{} has gone", role));
    const std::string then = inputs[role]["sha256"];
    const std::string& now = checksum(path);
    if (now == then) continue;
    throw changed(path,
                  fmt::format("{} has changed, from SHA-256 {:.12} to {:.12},", role, then, now));
  }
  if (inputs.size() != stage.inputs.size()) {
    throw changed(path_, fmt::format("the recipe names {} files and models instead of {}",
                                     stage.inputs.size(), inputs.size()));
  }
  if (!entry["done"]) return;
  for (const std::string& path : stage.outputs) {
    const std::string name = fs::relative(path, stage.directory).string();
    if (!fs::exists(path)) throw changed(path, "it has gone");
    if (entry["outputs"].value(name, "") != checksum(path)) throw changed(path, "it has changed");
  }
}

bool Ledger::is_done(const StageFiles& stage) {
  ordered_json* entry = find(stage.name);
  if (entry != nullptr && !fs::exists(stage.directory)) {
    stages_.erase(stages_.begin() + (entry - &stages_.front()));
    entry = nullptr;
  }
  if (entry != nullptr) {
    check(stage, *entry);
    return (*entry)["done"];
  }
  ordered_json begun = {{"stage", stage.name},
                        {"done", false},
                        {"inputs", ordered_json::object()},
                        {"outputs", ordered_json::object()}};
  for (const auto& [role, path] : stage.inputs) {
    begun["inputs"][role] = {{"path", path}, {"sha256", checksum(path)}};
  }
  fs::create_directories(stage.directory);
  stages_.push_back(std::move(begun));
  write();
  return false;
}

void Ledger::finish(const StageFiles& stage) {
  ordered_json* entry = find(stage.name);
  CRIA_ASSERT(entry != nullptr);
  for (const std::string& path : stage.outputs) {
    checksums_.erase(path);
    (*entry)["outputs"][fs::relative(path, stage.directory).string()] = checksum(path);
  }
  (*entry)["done"] = true;
  write();
}

void Ledger::write() const {
  write_file_atomically(path_, ordered_json{{"stages", stages_}}.dump(2) + "\n");
}

}  // namespace cria
