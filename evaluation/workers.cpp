#include "evaluation/workers.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace reins::evaluation {

bool run_all(unsigned threads, std::size_t count, const std::function<void(std::size_t)>& work,
             const std::function<bool(std::size_t)>& done) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::size_t finished = 0;
  const auto worker = [&] {
    for (std::size_t i = next++; i < count && !stopped; i = next++) {
      work(i);
      const std::lock_guard<std::mutex> lock(mutex);
      if (!done(++finished)) stopped = true;
    }
  };
  std::vector<std::thread> others;
  const std::size_t most = std::min<std::size_t>(std::max(threads, 1U), count);
  for (std::size_t t = 1; t < most; ++t) others.emplace_back(worker);
  worker();
  for (std::thread& other : others) other.join();
  return !stopped;
}

}  // namespace reins::evaluation
