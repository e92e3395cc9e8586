// inference/aligned_floats.hpp: the buffers that our kernels work on.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

namespace reins::inference {

/// Floats at an address that the kernels' vectors ask for, zeroed.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t n)
      : data_(static_cast<float*>(::operator new (std::max<std::size_t>(n, 1) * sizeof(float), std::align_val_t{64}))) {
    std::fill_n(data_.get(), n, 0.0F);
  }
  explicit Floats(const std::vector<float>& values) : Floats(values.size()) {
    std::copy(values.begin(), values.end(), data_.get());
  }
  float* get() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const noexcept { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<float, Free> data_;
};

}  // namespace reins::inference
