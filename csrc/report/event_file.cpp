#include "cria/report/event_file.h"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <charconv>
#include <chrono>
#include <concepts>
#include <filesystem>

#include <csrc/report/event.pb.h>
#include <fmt/format.h>
#include <unistd.h>

#include "cria/core/error.h"

namespace cria {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "events.out.tfevents.";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void append_little_endian(std::string& bytes, std::unsigned_integral auto value) {
  for (size_t i = 0; i < sizeof(value); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
}

// The checksum of a TFRecord: CRC-32C, rotated and shifted so that the checksum of bytes that hold
// checksums is a good one too.
uint32_t masked_checksum(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc32c;
  crc32c.process_bytes(bytes.data(), bytes.size());
  const auto checksum = static_cast<uint32_t>(crc32c.checksum());
  return (checksum >> 15 | checksum << 17) + 0xA282EAD8;
}

// Length, its checksum, data, its checksum
// (tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
std::string record(const tensorboard::Event& event) {
  const std::string data = event.SerializeAsString();
  std::string bytes;
  append_little_endian(bytes, static_cast<uint64_t>(data.size()));
  append_little_endian(bytes, masked_checksum(bytes));
  bytes += data;
  append_little_endian(bytes, masked_checksum(data));
  return bytes;
}

// The second in the name of a new file. TensorBoard reads files in the order of their names, so it
// is later than that of any earlier part, even of one begun in the same second or by another clock.
int64_t second_of_new_file(const std::string& directory) {
  auto second = static_cast<int64_t>(seconds_since_1970());
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    int64_t earlier = 0;
    if (name.starts_with(kPrefix) &&
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), earlier).ec ==
            std::errc()) {
      second = std::max(second, earlier + 1);
    }
  }
  return second;
}

std::string host_name() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace

EventFile::EventFile(std::string directory, int64_t last_step)
    : directory_(std::move(directory)), last_step_(last_step) {}

void EventFile::write(int64_t step, const std::vector<std::pair<std::string, double>>& figures) {
  if (!file_.is_open()) start();
  tensorboard::Event event;
  event.set_wall_time(seconds_since_1970());
  event.set_step(step);
  for (const auto& [name, figure] : figures) {
    tensorboard::Summary::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(name);
    value.set_simple_value(static_cast<float>(figure));
  }
  flush_records(record(event));
}

void EventFile::start() {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) throw failure(directory_, "cannot make the directory: " + error.message());
  path_ = fmt::format("{}/{}{:010}.{}", directory_, kPrefix, second_of_new_file(directory_),
                      host_name());
  file_.open(path_, std::ios::binary | std::ios::trunc);

  tensorboard::Event version;
  version.set_wall_time(seconds_since_1970());
  version.set_file_version("brain.Event:2");
  tensorboard::Event restart;
  restart.set_wall_time(version.wall_time());
  restart.set_step(last_step_ + 1);
  restart.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  flush_records(record(version) + record(restart));
}

void EventFile::flush_records(const std::string& records) {
  file_ << records << std::flush;
  if (!file_) throw system_failure(path_, "cannot write");
}

}  // namespace cria
