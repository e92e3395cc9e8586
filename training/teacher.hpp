// training/teacher.hpp: a trained network that another one learns from (Hinton, Vinyals, Dean, "Distilling the
// Knowledge in a Neural Network", 2015).
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "data/image_set.hpp"
#include "inference/torch/plain_network.hpp"
#include "training/net_batches.hpp"

namespace reins::training {

/// The full network of a network file, with weights that stay as they are.
class Teacher {
 public:
  /// `share` in (0, 1]: of the teacher in `loss`. `images`, `scaling`: what the student trains on, and how its batches
  /// are normalised. `device`: where the batches are. Errors: those of NetworkFile::open; mismatch (images of another
  /// shape, other classes).
  static Result<Teacher> open(const std::filesystem::path& file, double share, const data::ImageSet& images,
                              const Scaling& scaling, torch::Device device);

  /// What it answers to the student's batch, [B, classes]; for `loss`. Without gradients.
  torch::Tensor answer(const torch::Tensor& images) const;
  /// (1 - share) x cross-entropy with the labels + share x T^2 x KL(teacher || student), both softened by T = 4: a
  /// scalar, mean over the batch.
  torch::Tensor loss(const torch::Tensor& student_logits, const torch::Tensor& answer,
                     const torch::Tensor& labels) const;
  /// Multiply-accumulates of one answer.
  double macs() const noexcept { return macs_; }
  /// "<fingerprint> share 0.5": for the identity of a run.
  const std::string& identity() const noexcept { return identity_; }

 private:
  explicit Teacher(inference::PlainNetwork network) : network_(std::move(network)) {}
  inference::PlainNetwork network_;
  torch::Tensor scale_, shift_;  // from the student's normalisation to the teacher's
  double share_ = 0;
  double macs_ = 0;
  std::string identity_;
};

}  // namespace reins::training
