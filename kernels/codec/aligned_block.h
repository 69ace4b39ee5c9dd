// Memory that begins on a line of 64 bytes; large blocks on a large page, where the system has them.
#pragma once
#include <cstddef>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace charloom {

class AlignedBlock {
 public:
  explicit AlignedBlock(size_t size)
      : alignment_(std::align_val_t(size < kLarge ? 64 : kLargePage)), data_(::operator new[](size, alignment_)) {
#if defined(MADV_HUGEPAGE)
    if (size >= kLarge) madvise(data_, size, MADV_HUGEPAGE);  // tables are read all over: fewer pages to look up
#endif
  }
  ~AlignedBlock() { ::operator delete[](data_, alignment_); }
  AlignedBlock(const AlignedBlock &) = delete;
  AlignedBlock &operator=(const AlignedBlock &) = delete;
  void *data() { return data_; }
  const void *data() const { return data_; }

 private:
  static constexpr size_t kLargePage = 1 << 21, kLarge = 8 << 20;

  const std::align_val_t alignment_;
  void *data_;
};

}  // namespace charloom
