// Blocks of memory that start on a cache line, in huge pages if the system has them. arena.h cuts the arrays of a call
// from such a block.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace charloom {

constexpr uintptr_t kHugePage = 1 << 21;

// Asks the system for huge pages. Fresh memory costs one page fault for each 4 kB, with huge pages one for each 2 MB;
// and tables with random access take fewer entries of the TLB. The advice may be ignored, and only whole huge pages
// inside the block can have it.
inline void advise_huge_pages([[maybe_unused]] void *block, [[maybe_unused]] size_t size) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t first = ((uintptr_t)block + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = ((uintptr_t)block + size) / kHugePage * kHugePage;
  if (first < last) madvise((void *)first, last - first, MADV_HUGEPAGE);
#endif
}

// A block of memory that is kept and reused from call to call.
class Workspace {
 public:
  explicit Workspace(size_t size = 0) { ensure_size(size); }
  Workspace(const Workspace &) = delete;
  ~Workspace() { ::operator delete[](block_, alignment_); }

  // Returns the block, enlarged to `size` bytes if it is smaller; its contents are then lost.
  void *ensure_size(size_t size) {
    if (size > size_) {
      // Freed first, so that the old and the new block never exist at the same time.
      ::operator delete[](block_, alignment_);
      block_ = nullptr;
      // If the allocation below throws, the workspace is empty and still valid.
      size_ = 0;
      alignment_ = std::align_val_t(size < kHugePageThreshold ? 64 : kHugePage);
      block_ = ::operator new[](size, alignment_);
      size_ = size;
      advise_huge_pages(block_, size_);
    }
    return block_;
  }
  void *data() const { return block_; }

 private:
  // Below this size, aligning to a huge page would waste too large a part of the block.
  static constexpr size_t kHugePageThreshold = 4 * kHugePage;

  void *block_ = nullptr;
  size_t size_ = 0;
  std::align_val_t alignment_{64};
};

}  // namespace charloom
