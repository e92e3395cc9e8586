#include "agent/replay.hpp"

#include <algorithm>
#include <cstring>

#include "core/assert.hpp"

namespace reins::agent {

Replay::Replay(std::size_t capacity, std::size_t features)
    : capacity_(capacity),
      features_(features),
      obs_(capacity * features),
      next_obs_(capacity * features),
      rows_(capacity) {
  REINS_ASSERT(capacity > 0);
}

void Replay::add(const Transition& t) {
  REINS_ASSERT(t.obs.size() == features_ && t.next_obs.size() == features_);
  const auto at = static_cast<std::ptrdiff_t>(next_ * features_);
  std::copy(t.obs.begin(), t.obs.end(), obs_.begin() + at);
  std::copy(t.next_obs.begin(), t.next_obs.end(), next_obs_.begin() + at);
  rows_[next_] = {t.mask, t.next_mask, t.choice, t.reward, t.penalty, t.time_s, t.discount};
  next_ = (next_ + 1) % capacity_;
  size_ = std::min(size_ + 1, capacity_);
}

Transition Replay::at(std::size_t i) const noexcept {
  const Row& row = rows_[i];
  return {{obs_.data() + i * features_, features_},
          row.mask,
          row.choice,
          row.reward,
          row.penalty,
          row.time_s,
          row.discount,
          {next_obs_.data() + i * features_, features_},
          row.next_mask};
}

void Replay::sample(Rng& rng, std::size_t count, Batch& batch) const {
  REINS_ASSERT(size_ > 0);
  if (batch.size != count) {
    batch.size = count;
    batch.obs.resize(count * features_);
    batch.next_obs.resize(count * features_);
    batch.reward.resize(count);
    batch.penalty.resize(count);
    batch.time_s.resize(count);
    batch.discount.resize(count);
    batch.mask.resize(count);
    batch.next_mask.resize(count);
    batch.choice.resize(count);
  }
  for (std::size_t b = 0; b < count; ++b) {
    const std::size_t i = rng.below(size_);
    std::copy_n(obs_.data() + i * features_, features_, batch.obs.data() + b * features_);
    std::copy_n(next_obs_.data() + i * features_, features_, batch.next_obs.data() + b * features_);
    const Row& row = rows_[i];
    batch.reward[b] = row.reward;
    batch.penalty[b] = row.penalty;
    batch.time_s[b] = row.time_s;
    batch.discount[b] = row.discount;
    batch.mask[b] = row.mask;
    batch.next_mask[b] = row.next_mask;
    batch.choice[b] = row.choice;
  }
}

std::string Replay::save() const {
  const std::uint64_t head[4] = {capacity_, features_, size_, next_};
  std::string bytes(reinterpret_cast<const char*>(head), sizeof head);
  bytes.append(reinterpret_cast<const char*>(obs_.data()), size_ * features_ * sizeof(float));
  bytes.append(reinterpret_cast<const char*>(next_obs_.data()), size_ * features_ * sizeof(float));
  bytes.append(reinterpret_cast<const char*>(rows_.data()), size_ * sizeof(Row));
  return bytes;
}

Status Replay::restore(std::string_view bytes) {
  std::uint64_t head[4] = {};
  const auto garbled = [] { return fail(ErrorKind::kGarbled, "the replay buffer is of another size", "checkpoint"); };
  if (bytes.size() < sizeof head) return garbled();
  std::memcpy(head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  if (head[0] != capacity_ || head[1] != features_ || head[2] > capacity_ || head[3] >= capacity_) return garbled();
  const std::size_t floats = head[2] * features_ * sizeof(float);
  if (bytes.size() != 2 * floats + head[2] * sizeof(Row)) return garbled();
  static_assert(std::is_trivially_copyable_v<Row>);
  std::memcpy(obs_.data(), bytes.data(), floats);
  std::memcpy(next_obs_.data(), bytes.data() + floats, floats);
  std::memcpy(static_cast<void*>(rows_.data()), bytes.data() + 2 * floats, head[2] * sizeof(Row));
  size_ = head[2];
  next_ = head[3];
  return {};
}

}  // namespace reins::agent
