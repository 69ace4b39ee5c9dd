// The batch sizes of a packed batch, as Python passes them.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernels.h"

namespace charloom {

// A checked copy. The copy is what is checked, because other threads may write to the caller's sizes meanwhile.
class PackedBatch {
 public:
  // sizes: the address of `call.steps` batch sizes; null for a padded batch. Throws std::invalid_argument (ValueError
  // in Python) for sizes that are not positive and non-increasing from call.batch, or whose sum is not
  // call.packed_rows.
  PackedBatch(const int64_t *sizes, const LayerSizes &call) {
    if ((sizes != nullptr) != (call.packed_rows != 0))
      throw std::invalid_argument("batch sizes and the number of packed rows must be passed together");
    if (!sizes) return;
    batch_sizes_.assign(sizes, sizes + call.steps);
    int64_t previous = call.batch, rows = 0;
    for (const int64_t size : batch_sizes_) {
      if (size < 1 || size > previous) throw std::invalid_argument("batch sizes must be positive and non-increasing");
      previous = size;
      offsets_.push_back(rows);
      rows += size;
      if (rows > call.packed_rows) break;
    }
    if (rows != call.packed_rows)
      throw std::invalid_argument("the sum of the batch sizes is not the number of packed rows");
    if (batch_sizes_.front() != call.batch)
      throw std::invalid_argument("the first of the batch sizes is not the number of rows of the batch");
  }

  // Adds the sizes to a call, which must not outlive them.
  void add_to(LayerCall &call) const {
    call.batch_sizes = batch_sizes_.empty() ? nullptr : batch_sizes_.data();
    call.offsets = offsets_.empty() ? nullptr : offsets_.data();
  }

 private:
  std::vector<int64_t> batch_sizes_, offsets_;
};

}  // namespace charloom
