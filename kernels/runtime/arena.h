// Memory for one call, cut from one block: the same code run on a null block measures how much is needed.
#pragma once
#include <cstddef>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace {

class Arena {
 public:
  explicit Arena(void *block) : block_(static_cast<char *>(block)) {}

  // Every array starts on a line and has a vector of slack behind it, which a packed strip may read.
  template <class T>
  T *take(long count) {
    T *array = block_ ? reinterpret_cast<T *>(block_ + used_) : nullptr;
    const size_t size = (static_cast<size_t>(count) * sizeof(T) + kSlack + kLine - 1) / kLine * kLine;
#if defined(__SANITIZE_ADDRESS__)  // a line that nobody may touch behind each array
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
