#include "cria/io/checksum.h"

#include <array>
#include <filesystem>

#include <openssl/evp.h>

#include "cria/core/error.h"
#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

namespace cria {

namespace {

void check(int result) {
  if (result != 1) throw failure("SHA-256", "OpenSSL cannot compute it");
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check(context_ != nullptr ? EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) : 0);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(context_, bytes.data(), bytes.size()));
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest;
  unsigned int size = 0;
  check(EVP_DigestFinal_ex(context_, digest.data(), &size));
  CRIA_ASSERT(size == digest.size());
  std::string digits;
  for (const unsigned char byte : digest) digits += fmt::format("{:02x}", byte);
  return digits;
}

std::string sha256(std::string_view text) {
  Sha256 sum;
  sum.update(std::as_bytes(std::span(text)));
  return sum.finish();
}

std::string model_checksum(const std::string& directory) {
  std::vector<std::string> paths = weight_files(directory);
  paths.insert(paths.begin(), directory + "/config.json");
  Sha256 sum;
  for (const std::string& path : paths) {
    const MappedFile file(path);
    const std::string heading = fmt::format(
        "{} {}\n", std::filesystem::path(path).filename().string(), file.bytes().size());
    sum.update(std::as_bytes(std::span(heading)));
    sum.update(file.bytes());
  }
  return sum.finish();
}

}  // namespace cria
