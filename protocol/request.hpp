// protocol/request.hpp: what a client asks for: the four requests, their encoding, and the checks on what came in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "core/pack.hpp"
#include "protocol/fault.hpp"

namespace reins::protocol {

/// The value of `v`: changes when a message changes its meaning.
inline constexpr std::int64_t kVersion = 1;

enum class DType : std::uint8_t { kFloat32, kUint8 };
std::string_view name_of(DType dtype) noexcept;
std::size_t size_of(DType dtype) noexcept;

/// One input, C-order. `bytes` is the message's second frame and lives as long as that frame; it need not be aligned.
struct Tensor {
  DType dtype = DType::kFloat32;
  std::array<std::int64_t, 4> shape{};  ///< [N, C, H, W]; a shorter shape on the wire is filled with ones in front
  std::string_view bytes;
};

/// op "infer". `deadline_s` runs from the request's arrival at the server. What was asked for is served even where its
/// client has gone meanwhile: a ROUTER socket is not told (ZMQ_ROUTER_NOTIFY is a draft of libzmq's), and the reply is
/// dropped. So a client that gives up should not ask again at once.
struct Infer {
  Tensor tensor;
  std::optional<double> deadline_s;
  bool probabilities = false;
};

/// One goal in a `goal` request: absent leaves it as it is, nil clears it, a number sets it.
struct GoalChange {
  bool given = false;
  std::optional<double> value;
  friend bool operator==(const GoalChange&, const GoalChange&) = default;
};

/// op "goal". Goals belong to the server: they hold for every client until one changes them. The reply tells all that
/// are now in force, and in `warning` which of them cannot be met. The key `objective` may say "energy", what every
/// policy is trained for; any other is refused, since nothing would act on it.
struct Goal {
  GoalChange latency_s, energy_j, power_w, accuracy;
};

struct StatusQuery {};
struct MetricsQuery {};

/// `id` is the client's, an integer or a string of at most 64 bytes, and comes back in the reply.
struct Request {
  Value id;
  int app = 0;
  std::variant<Infer, Goal, StatusQuery, MetricsQuery> body;
};

struct Limits {
  std::size_t max_map_bytes = 16 << 10;
  std::size_t max_tensor_bytes = std::size_t{4} << 20;
};

struct Decoded {
  Value id;  ///< nil where the message had none that could be read
  tl::expected<Request, Fault> request;
};

/// Checks everything: frames, version, op, every key and its range, shape x dtype against the tensor's bytes, float
/// values that are not finite. An unknown key is a fault, so that a misspelt deadline is not a request without one.
/// `frames` are the message's own: no identity, no delimiter. Any bytes; never throws, allocates within `limits`.
Decoded decode_request(std::span<const std::string_view> frames, const Limits& limits = {}) noexcept;

/// The msgpack map. An Infer's tensor bytes go into a second frame.
std::string encode_request(const Request& request);

}  // namespace reins::protocol
