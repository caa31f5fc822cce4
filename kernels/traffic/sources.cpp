// Addresses to functions and lines, by addr2line of the binutils, which come with the compiler.
#include <array>
#include <cstdio>
#include <memory>
#include <sstream>

#include <link.h>
#include <unistd.h>

#include "cria/core/error.h"

#include "kernels/traffic/traffic.h"

namespace cria::emulated::traffic {

namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (!pipe) throw system_failure("traffic", "cannot run addr2line");
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), bytes);
  }
  return output;
}

// Where this program, as linked from address 0, has been loaded.
uintptr_t load_address() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<uintptr_t*>(result) = info->dlpi_addr;
        return 1;  // the first is the program
      },
      &address);
  return address;
}

// "void cria::emulated::(anonymous namespace)::kernel<8, float>(float*)" -> "kernel"
std::string short_name(std::string name) {
  const std::string anonymous = "(anonymous namespace)::";
  if (const size_t at = name.find(anonymous); at != name.npos) name.erase(0, at + anonymous.size());
  name = name.substr(0, name.find_first_of("<("));
  return name.substr(name.find_last_of(": ") + 1);
}

// "/home/me/cria/build/../kernels/rope.cu:30 (discriminator 2)" -> "kernels/rope.cu:30"
std::string short_place(const std::string& place) {
  for (const char* room : {"/kernels/", "/tests/"}) {
    if (const size_t at = place.rfind(room); at != place.npos) {
      return place.substr(at + 1, place.find(' ') - at - 1);
    }
  }
  return place;
}

bool is_building_block(const std::string& place) {
  return place.starts_with("kernels/device/") || place.starts_with("kernels/emulator/") ||
         place.find("/include/") != place.npos;
}

}  // namespace

std::vector<Source> find_sources(const std::vector<const void*>& addresses) {
  std::string command = fmt::format("addr2line -a -f -i -C -e /proc/{}/exe", getpid());
  const uintptr_t base = load_address();
  for (const void* address : addresses) {
    command += fmt::format(" {:#x}", reinterpret_cast<uintptr_t>(address) - base);
  }
  // Of each address: itself, then a function and its place for each function inlined there.
  std::vector<Source> sources;
  std::istringstream lines(addresses.empty() ? std::string() : output_of(command));
  std::string line, place;
  bool has_place = false;
  while (std::getline(lines, line)) {
    if (line.starts_with("0x")) {
      sources.emplace_back();
      has_place = false;
      continue;
    }
    std::getline(lines, place);
    place = short_place(place);
    if (sources.empty() || has_place) continue;
    sources.back() = {short_name(line), place};
    has_place = !is_building_block(place);
  }
  if (sources.size() != addresses.size()) {
    throw failure(
        "traffic",
        fmt::format("addr2line found {} of {} addresses", sources.size(), addresses.size()),
        "install binutils");
  }
  return sources;
}

}  // namespace cria::emulated::traffic
