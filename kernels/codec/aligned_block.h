// Memory that begins on a line of 64 bytes.
#pragma once
#include <cstddef>
#include <new>

namespace charloom {

class AlignedBlock {
 public:
  explicit AlignedBlock(size_t size) : data_(::operator new[](size, std::align_val_t(64))) {}
  ~AlignedBlock() { ::operator delete[](data_, std::align_val_t(64)); }
  AlignedBlock(const AlignedBlock &) = delete;
  AlignedBlock &operator=(const AlignedBlock &) = delete;
  void *data() { return data_; }
  const void *data() const { return data_; }

 private:
  void *data_;
};

}  // namespace charloom
