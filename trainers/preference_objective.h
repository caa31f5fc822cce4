// What reward models and DPO share. A group is a pair of answers to one prompt, chosen first. Each
// rank fills the slots of the pairs that it passes over; from all slots, in the order of the batch,
// every rank forms the same figures: they do not depend on the rank count or on the micro-batches.
#pragma once

#include <memory>

#include "cria/data/preference_data.h"

#include "trainers/objective.h"
#include "trainers/preference_evaluation.h"

namespace cria {

class PreferenceObjective : public Objective {
 public:
  // One group a row.
  std::vector<Group> groups(std::vector<Row> rows) const override;
  void begin(std::span<const Group> batch, PassKind kind) override;
  Figures end(Communicator& communicator) override;
  // Writes evaluation.json and evaluation.txt; accuracy and margin of the parts of the data.
  Figures evaluated(RunDirectory& directory, bool is_last) override;

 protected:
  // `slots`: how many figures a pair needs.
  PreferenceObjective(const PreferenceData& data, size_t slots) : data_(data), slots_(slots) {}

  // Of a batch that all ranks have filled in: figures, "loss" first; how much each answer of a pair
  // is worth (a score, or the implicit reward of DPO).
  virtual Figures figures() const = 0;
  virtual JudgedPair judged(size_t pair) const = 0;

  PassKind kind() const { return kind_; }
  size_t pair_count() const { return batch_.size(); }  // of the batch
  // The number in the batch of the pair that a group of a micro-batch is.
  size_t pair_of(const Group& group) const { return static_cast<size_t>(&group - batch_.data()); }
  const PreferencePair& data_of(size_t pair) const { return data_.pair(item_of(pair)); }
  int64_t item_of(size_t pair) const { return batch_[pair].front().item; }
  std::span<double> slots(size_t pair) { return {values_.data() + pair * slots_, slots_}; }
  std::span<const double> slots(size_t pair) const {
    return {values_.data() + pair * slots_, slots_};
  }

 private:
  const PreferenceData& data_;
  const size_t slots_;
  PassKind kind_ = PassKind::training;
  std::span<const Group> batch_;
  std::vector<double> values_;  // slots of each pair
};

}  // namespace cria
