// samples.txt: the first prompts with their best and worst answers, for people to read.
#pragma once

#include <string>

#include "trainers/rejection/sample_pool.h"

namespace cria {

class ReadableSamples {
 public:
  static constexpr size_t kPrompts = 20;

  // Samples in the order of the pool.
  void add(const PooledSample& sample);
  std::string text() const;

 private:
  struct Extremes {
    PooledSample best;
    PooledSample worst;
  };
  std::vector<Extremes> prompts_;
};

}  // namespace cria
