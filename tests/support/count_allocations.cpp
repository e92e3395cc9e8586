#include "tests/support/count_allocations.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace reins::testing {
namespace {

std::atomic<long> g_allocations{0};

}  // namespace

long allocations_so_far() noexcept { return g_allocations.load(); }
void count_one() noexcept { ++g_allocations; }

}  // namespace reins::testing

void* operator new(std::size_t size) {
  reins::testing::count_one();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return ::operator new(size); }
// The engines' buffers are over-aligned.
void* operator new(std::size_t size, std::align_val_t alignment) {
  reins::testing::count_one();
  const auto step = std::max(static_cast<std::size_t>(alignment), sizeof(void*));
  if (void* memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size, std::align_val_t alignment) { return ::operator new(size, alignment); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
