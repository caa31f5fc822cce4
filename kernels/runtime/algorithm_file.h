// The algorithms that a search found fastest for products, kept on disk: a file for each GPU model
// and version of cuBLASLt, a line for each product. What the file says is what runs: an entry never
// changes, and processes that search for the same product at the same time agree on the first
// entry. So the same products give the same bits as long as the file is there.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace cria::cuda {

// $CRIA_CACHE_DIR, or cria/ in $XDG_CACHE_HOME or ~/.cache; empty where none of them is set.
std::string cache_directory();

class AlgorithmFile {
 public:
  // What cublasLtMatmulAlgo_t holds: words that the same version of the library takes back in
  // another process (cublasLt.h, "can be trivially serialized and later restored").
  using Algorithm = std::array<uint64_t, 8>;

  // `name` says for which GPU and library; characters that file names had better not have are
  // replaced.
  AlgorithmFile(const std::string& directory, const std::string& name);

  // The algorithm of `product`, a word without a space. Searches when it is not known, and keeps
  // what was found. Nothing, without a search, when the file cannot be written: what cannot be kept
  // would be found anew, and perhaps otherwise, by the next process.
  // Throws an Error that names the line when the file does not hold what this class writes.
  std::optional<Algorithm> find(const std::string& product,
                                const std::function<Algorithm()>& search);

  const std::string& path() const { return path_; }

 private:
  void read(const std::string& text);

  std::string path_;
  std::map<std::string, Algorithm> known_;
};

}  // namespace cria::cuda
