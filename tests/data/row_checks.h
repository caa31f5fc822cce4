// What the tests of both kinds of training data share.
#pragma once

#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "cria/data/training_data.h"

namespace cria {

inline bool same(const std::vector<Row>& a, const std::vector<Row>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return false;
    for (size_t j = 0; j < a[i].size(); ++j) {
      if (a[i][j].ids != b[i][j].ids || a[i][j].labels != b[i][j].labels) return false;
    }
  }
  return true;
}

// Takes `steps` batches; from every cursor on the way, both the object itself and one made anew
// must give the same batches again. `make` makes the data.
template <typename Make>
void check_cursors(const Make& make, int steps, int64_t rows) {
  const std::unique_ptr<TrainingData> data = make();
  std::vector<std::vector<int64_t>> cursors;
  std::vector<std::vector<Row>> batches;
  for (int step = 0; step < steps; ++step) {
    cursors.push_back(data->cursor());
    batches.push_back(data->next(rows));
  }
  EXPECT_FALSE(same(batches[0], batches[1]));
  const std::string report = data->report();
  const std::unique_ptr<TrainingData> fresh = make();
  for (int step = steps - 1; step >= 0; step -= 3) {
    for (TrainingData* again : {data.get(), fresh.get()}) {
      again->seek(cursors[step]);
      EXPECT_EQ(again->cursor(), cursors[step]);
      for (int then = step; then < std::min(step + 3, steps); ++then) {
        ASSERT_TRUE(same(again->next(rows), batches[then])) << "from step " << step;
      }
    }
  }
  fresh->seek(cursors.back());
  fresh->next(rows);
  EXPECT_EQ(fresh->report(), report);
}

// How often each first id occurs, of all examples in the rows.
inline std::map<int32_t, int> occurrences(const std::vector<Row>& rows) {
  std::map<int32_t, int> counts;
  for (const Row& row : rows) {
    for (const Example& example : row) ++counts[example.ids[0]];
  }
  return counts;
}

}  // namespace cria
