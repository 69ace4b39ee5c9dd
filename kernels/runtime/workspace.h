// Blocks of memory that begin on a line of 64 bytes, in large pages where the system has them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace charloom {

constexpr uintptr_t kLargePage = 1 << 21;

// Fresh memory costs a page fault for every 4 kB; a large array for every 2 MB, where the system can be asked for that.
// And tables that are read all over have fewer pages to look up.
inline void ask_for_large_pages([[maybe_unused]] void *block, [[maybe_unused]] size_t size) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t begin = ((uintptr_t)block + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = ((uintptr_t)block + size) / kLargePage * kLargePage;
  if (begin < end) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#endif
}

// A block that is kept from call to call.
class Workspace {
 public:
  explicit Workspace(size_t size = 0) { of_size(size); }
  Workspace(const Workspace &) = delete;
  ~Workspace() { ::operator delete[](block_, alignment_); }

  // What was in the block is lost if it is too small.
  void *of_size(size_t size) {
    if (size > size_) {
      ::operator delete[](block_, alignment_);
      block_ = nullptr;
      size_ = 0;
      alignment_ = std::align_val_t(size < kLarge ? 64 : kLargePage);
      block_ = ::operator new[](size, alignment_);
      size_ = size;
      ask_for_large_pages(block_, size_);
    }
    return block_;
  }
  void *data() const { return block_; }

 private:
  static constexpr size_t kLarge = 4 * kLargePage;

  void *block_ = nullptr;
  size_t size_ = 0;
  std::align_val_t alignment_{64};
};

}  // namespace charloom
