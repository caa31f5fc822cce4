// Reads TensorBoard's event files without the code that writes them: TFRecords with a bitwise
// CRC-32C, and protobuf's wire format (protobuf.dev/programming-guides/encoding) by hand.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cria::testing {

// CRC of Castagnoli's polynomial, reflected: 0xE3069283 for "123456789".
inline uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }

  std::string_view bytes(uint64_t count) {
    if (count > rest_.size()) throw std::runtime_error("cut short");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  template <typename T>
  T little_endian() {
    const std::string_view taken = bytes(sizeof(T));
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(taken[i])) << (8 * i);
    }
    return static_cast<T>(value);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = little_endian<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view length_delimited() { return bytes(varint()); }

  // Length and data with their checksums, masked as TensorFlow does.
  std::string_view record() {
    const std::string_view length = bytes(8);
    check(length, little_endian<uint32_t>());
    const std::string_view data = bytes(WireReader(length).little_endian<uint64_t>());
    check(data, little_endian<uint32_t>());
    return data;
  }

 private:
  static void check(std::string_view bytes, uint32_t masked) {
    if (std::rotr(crc32c(bytes), 15) + 0xA282EAD8 != masked) throw std::runtime_error("checksum");
  }

  std::string_view rest_;
};

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version;
  bool restart = false;
  std::vector<std::pair<std::string, float>> scalars;
};

inline std::pair<std::string, float> parse_scalar(WireReader value) {
  std::pair<std::string, float> scalar;
  while (!value.at_end()) {
    switch (value.varint()) {
      case 1 << 3 | 2:
        scalar.first = value.length_delimited();
        break;
      case 2 << 3 | 5:
        scalar.second = std::bit_cast<float>(value.little_endian<uint32_t>());
        break;
      default:
        throw std::runtime_error("another field of Summary.Value");
    }
  }
  return scalar;
}

inline Event parse_event(WireReader message) {
  Event event;
  while (!message.at_end()) {
    switch (message.varint()) {
      case 1 << 3 | 1:
        event.wall_time = std::bit_cast<double>(message.little_endian<uint64_t>());
        break;
      case 2 << 3 | 0:
        event.step = static_cast<int64_t>(message.varint());
        break;
      case 3 << 3 | 2:
        event.file_version = message.length_delimited();
        break;
      case 5 << 3 | 2:
        for (WireReader summary(message.length_delimited()); !summary.at_end();) {
          if (summary.varint() != (1 << 3 | 2)) throw std::runtime_error("field of Summary");
          event.scalars.push_back(parse_scalar(WireReader(summary.length_delimited())));
        }
        break;
      case 7 << 3 | 2:
        event.restart = message.length_delimited() == "\x08\x01";  // status: START
        break;
      default:
        throw std::runtime_error("another field of Event");
    }
  }
  return event;
}

// Throws where the bytes are not what they should be.
inline std::vector<Event> parse_events(std::string_view bytes) {
  std::vector<Event> events;
  for (WireReader file(bytes); !file.at_end();) {
    events.push_back(parse_event(WireReader(file.record())));
  }
  return events;
}

// The event files of a directory in the order in which TensorBoard reads them.
inline std::vector<std::string> event_files(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

inline std::vector<Event> read_events(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return parse_events(std::string(std::istreambuf_iterator<char>(file), {}));
}

using Curves = std::map<std::string, std::vector<std::pair<int64_t, float>>>;  // (step, figure)

// What TensorBoard shows: a restart takes away what stands at its step and later.
inline Curves read_curves(const std::string& directory) {
  Curves curves;
  for (const std::string& path : event_files(directory)) {
    for (const Event& event : read_events(path)) {
      if (event.restart) {
        for (auto& [tag, points] : curves) {
          std::erase_if(points, [&](const auto& point) { return point.first >= event.step; });
        }
      }
      for (const auto& [tag, figure] : event.scalars) curves[tag].emplace_back(event.step, figure);
    }
  }
  return curves;
}

}  // namespace cria::testing
