// Keeps what a block of memory held, line by line, before it is changed; and puts it back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace charloom {

class Undo {
 public:
  Undo(uint8_t *block, size_t size) : block_(block), is_kept_((size + kLine - 1) / kLine) {}

  // Keeps from now on, until that takes more than `most` bytes.
  void begin(size_t most) {
    most_ = most / kLine;
    works_ = true;
  }
  bool works() const { return works_; }

  void keep(const void *from, size_t size) {
    const size_t begin = ((const uint8_t *)from - block_) / kLine;
    const size_t end = ((const uint8_t *)from - block_ + size - 1) / kLine;
    for (size_t i = begin; i <= end; i++) {
      if (is_kept_[i]) continue;
      Line line{i, {}};
      memcpy(line.bytes, block_ + i * kLine, kLine);
      kept_.push_back(line);  // first: where there is no memory for it, the line is not kept
      is_kept_[i] = true;
    }
    if (kept_.size() <= most_) return;
    works_ = false;
    kept_ = {};
  }

  // Whether all is as it was at begin().
  bool all() {
    if (!works_) return false;
    for (const Line &line : kept_) {
      memcpy(block_ + line.number * kLine, line.bytes, kLine);
      is_kept_[line.number] = false;
    }
    kept_.clear();
    return true;
  }

 private:
  static constexpr size_t kLine = 64;
  struct Line {
    size_t number;
    uint8_t bytes[kLine];
  };

  uint8_t *block_;
  std::vector<bool> is_kept_;
  std::vector<Line> kept_;
  size_t most_ = 0;
  bool works_ = false;
};

}  // namespace charloom
