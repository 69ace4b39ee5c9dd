// Blocks of memory that begin on a line of 64 bytes, in large pages where the system has them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace charloom {

// Fresh memory costs a page fault for every 4 kB; a large array for every 2 MB, where the system can be asked for that.
// And tables that are read all over have fewer pages to look up.
inline void ask_for_large_pages([[maybe_unused]] void *block, [[maybe_unused]] size_t size) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = 1 << 21;
  const uintptr_t begin = ((uintptr_t)block + page - 1) / page * page, end = ((uintptr_t)block + size) / page * page;
  if (begin < end) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#endif
}

// A block that is kept from call to call.
class Workspace {
 public:
  explicit Workspace(size_t size = 0) { of_size(size); }
  Workspace(const Workspace &) = delete;
  ~Workspace() { ::operator delete[](block_, std::align_val_t(64)); }

  // What was in the block is lost if it is too small.
  void *of_size(size_t size) {
    if (size > size_) {
      ::operator delete[](block_, std::align_val_t(64));
      block_ = nullptr;
      size_ = 0;
      block_ = ::operator new[](size, std::align_val_t(64));
      size_ = size;
      ask_for_large_pages(block_, size_);
    }
    return block_;
  }
  void *data() const { return block_; }

 private:
  void *block_ = nullptr;
  size_t size_ = 0;
};

}  // namespace charloom
