// SHA-256 (FIPS 180-4): tells whether two models, or two files, are the same.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's

namespace cria {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  std::string finish();  // 64 lower-case hexadecimal digits; nothing can be added after

 private:
  evp_md_ctx_st* context_;
};

std::string sha256(std::string_view text);

// Of what a model computes with: config.json and the weights of a Hugging Face directory. Each file
// counts with its name and its size, so that one's end is not another's beginning.
std::string model_checksum(const std::string& directory);

}  // namespace cria
