// An arena: arrays of one call, cut from one block of memory that workspace.h provides. The same code on a null block
// measures the block's size, so that size and layout cannot disagree.
#pragma once
#include <cstddef>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace {

class Arena {
 public:
  explicit Arena(void *block) : block_(static_cast<char *>(block)) {}

  // Returns an array that starts on a cache line. At least one vector of slack follows it: packing reads whole strips
  // and whole vectors beyond the end of an array.
  template <class T>
  T *allocate(long count) {
    T *array = block_ ? reinterpret_cast<T *>(block_ + used_) : nullptr;
    const size_t size = (static_cast<size_t>(count) * sizeof(T) + kSlack + kLine - 1) / kLine * kLine;
#if defined(__SANITIZE_ADDRESS__)  // a poisoned line after each array, so that the sanitizer reports overruns
    if (block_) {
      ASAN_UNPOISON_MEMORY_REGION(block_ + used_, size);
      ASAN_POISON_MEMORY_REGION(block_ + used_ + size, kLine);
    }
    used_ += kLine;
#endif
    used_ += size;
    return array;
  }
  size_t used() const { return used_; }

 private:
  static constexpr size_t kLine = 64, kSlack = 64;
  char *block_;
  size_t used_ = 0;
};

}  // namespace
