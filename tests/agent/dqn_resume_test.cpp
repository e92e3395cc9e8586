#include <unistd.h>

#include <filesystem>

#include "agent/dqn.hpp"
#include "core/file.hpp"
#include "tests/agent/toy_environments.hpp"
#include "tests/support/matchers.hpp"

namespace reins::agent {
namespace {

using ::reins::testing::Contextual;
using ::reins::testing::IsError;
using ::testing::HasSubstr;

class DqnResume : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(::testing::TempDir()) / ("reins_resume_" + std::to_string(::getpid()) + ".ckpt");
    config_.steps = 3000;
    config_.learn_start = 300;
    config_.replay_capacity = 1000;  // overwritten by then, so the ring's place matters
    config_.normalise_reward = true;
    config_.penalty_weight = 0.3;
    config_.differential = false;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<Dqn> make() const {
    auto dqn = Dqn::make(config_, 4, Contextual().action_space());
    EXPECT_OK(dqn);
    return std::move(*dqn);
  }

  std::filesystem::path path_;
  DqnConfig config_;
};

TEST_F(DqnResume, GoesOnBitForBit) {
  // One run in one go, that leaves a checkpoint in the middle; another that goes on from there.
  const auto whole = make();
  Contextual problem;
  TrainHooks hooks;
  hooks.checkpoint_every = 1600;
  int saved = 0;
  hooks.checkpoint = [&](const Dqn& dqn, const TrainProgress& p) -> Status {
    if (p.steps > 1700) return {};
    ++saved;
    return dqn.save(path_);
  };
  ASSERT_OK(train(*whole, problem, hooks));
  ASSERT_EQ(saved, 1);

  const auto resumed = make();
  ASSERT_OK(resumed->resume(path_));
  EXPECT_EQ(resumed->steps(), 1600);
  EXPECT_EQ(resumed->episodes(), 32);
  Contextual fresh;
  ASSERT_OK(train(*resumed, fresh));
  EXPECT_EQ(resumed->steps(), whole->steps());
  EXPECT_EQ(resumed->updates(), whole->updates());
  EXPECT_EQ(resumed->network(), whole->network());
  EXPECT_EQ(resumed->network(true), whole->network(true));
  EXPECT_EQ(resumed->reward_rate(), whole->reward_rate());
  EXPECT_EQ(resumed->next_seed(), whole->next_seed());
  EXPECT_EQ(resumed->examples(20), whole->examples(20));
}

TEST_F(DqnResume, TakesACheckpointBetweenEpisodesWhereOneIsDue) {
  config_.steps = 400;
  const auto dqn = make();
  Contextual problem;
  TrainHooks hooks;
  int asked = 0;
  hooks.checkpoint_due = [&asked] { return ++asked == 3; };
  std::vector<std::int64_t> episodes;
  hooks.checkpoint = [&](const Dqn& learner, const TrainProgress& p) -> Status {
    episodes.push_back(p.episodes);
    return learner.save(path_);
  };
  ASSERT_OK(train(*dqn, problem, hooks));
  EXPECT_THAT(episodes, ::testing::ElementsAre(3));
  EXPECT_GT(asked, 3);
}

TEST_F(DqnResume, RefusesWhatIsNotAWholeCheckpointOfThisRun) {
  const auto dqn = make();
  EXPECT_THAT(dqn->resume(path_), IsError(ErrorKind::kNotFound, HasSubstr("reins_resume")));
  ASSERT_OK(dqn->save(path_));
  ASSERT_OK(dqn->resume(path_));

  DqnConfig other = config_;
  other.tau_s = 7;
  auto another = Dqn::make(other, 4, Contextual().action_space());
  ASSERT_OK(another);
  EXPECT_THAT((*another)->resume(path_), IsError(ErrorKind::kMismatch, HasSubstr("tau_s = 60 (here 7)")));
  other.seed = 9;
  another = Dqn::make(other, 4, Contextual().action_space());
  ASSERT_OK(another);
  EXPECT_THAT((*another)->resume(path_),
              IsError(ErrorKind::kMismatch, HasSubstr("settings: seed = 1 (here 9), tau_s = 60 (here 7)")));
  auto longer_obs = Dqn::make(config_, 5, Contextual().action_space());
  ASSERT_OK(longer_obs);
  EXPECT_THAT((*longer_obs)->resume(path_), IsError(ErrorKind::kMismatch, HasSubstr("another board")));
  // A checkpoint says where it was learnt, and how many steps its settings were scaled to.
  dqn->learns_in("board a");
  ASSERT_OK(dqn->save(path_));
  ASSERT_OK(dqn->resume(path_));
  EXPECT_THAT((*another)->resume(path_),
              IsError(ErrorKind::kMismatch, HasSubstr("--steps " + std::to_string(config_.steps))));
  const auto elsewhere = make();
  elsewhere->learns_in("board b");
  EXPECT_THAT(elsewhere->resume(path_), IsError(ErrorKind::kMismatch, HasSubstr("board a (here board b)")));
  DqnConfig longer = config_;
  longer.steps = 9000;
  auto more = Dqn::make(longer, 4, Contextual().action_space());
  ASSERT_OK(more);
  EXPECT_OK((*more)->resume(path_));

  const std::string bytes = *read_file(path_);
  for (const std::size_t length : {std::size_t{0}, std::size_t{3}, bytes.size() / 2, bytes.size() - 1}) {
    ASSERT_OK(write_file_atomic(path_, bytes.substr(0, length)));
    EXPECT_THAT(dqn->resume(path_), IsError(ErrorKind::kGarbled, HasSubstr("cut short or damaged"))) << length;
  }
  std::string flipped = bytes;
  flipped[bytes.size() / 3] ^= 0x10;
  ASSERT_OK(write_file_atomic(path_, flipped));
  EXPECT_THAT(dqn->resume(path_), IsError(ErrorKind::kGarbled, HasSubstr("cut short or damaged")));
}

TEST_F(DqnResume, AFinishedRunLeavesItsReplayOutAndDoesNotGoOn) {
  const auto dqn = make();
  Contextual problem;
  std::uintmax_t under_way = 0;
  TrainHooks hooks;
  hooks.checkpoint_every = 1600;
  hooks.checkpoint = [&](const Dqn& learner, const TrainProgress& p) -> Status {
    REINS_TRY(learner.save(path_));
    if (p.steps < p.total) under_way = std::filesystem::file_size(path_);
    return {};
  };
  ASSERT_OK(train(*dqn, problem, hooks));
  ASSERT_EQ(dqn->steps(), 3000);
  ASSERT_GT(under_way, 0U);
  // A thousand transitions with their masks.
  EXPECT_GT(under_way - std::filesystem::file_size(path_), 1000U * 100U);
  config_.steps = 9000;
  EXPECT_THAT(make()->resume(path_), IsError(ErrorKind::kUsage, HasSubstr("finished: all its 3000 steps are done")));
}

TEST_F(DqnResume, GivesThePenaltyAnotherPrice) {
  config_.steps = 600;
  const auto dqn = make();
  Contextual problem(0.2);
  ASSERT_OK(train(*dqn, problem));
  ASSERT_OK(dqn->save(path_));
  const policies::PolicyNetwork learnt = dqn->network(true);
  const auto priced = [&](double scale) { return *priced_network(path_, learnt.shape, learnt.reach, scale); };
  EXPECT_EQ(priced(1).network, learnt);
  EXPECT_EQ(priced(1).steps, dqn->steps());
  const auto without = priced(0).network, twice = priced(2).network;
  double penalty = 0;
  for (std::size_t l = 0; l < policies::kLayers; ++l) {
    for (std::size_t i = 0; i < learnt.layers[l].weight.size(); ++i) {
      const float apart = learnt.layers[l].weight[i] - without.layers[l].weight[i];
      ASSERT_NEAR(twice.layers[l].weight[i], learnt.layers[l].weight[i] + apart, 1e-5);
      penalty += std::abs(static_cast<double>(apart));
    }
  }
  EXPECT_GT(penalty, 0.1) << "it has learnt some";
  EXPECT_EQ(without[policies::LayerName::kTrunk1], learnt[policies::LayerName::kTrunk1]);

  const auto begun = make();
  ASSERT_OK(begun->save(path_));
  EXPECT_THAT(priced_network(path_, learnt.shape, learnt.reach, 1),
              IsError(ErrorKind::kUsage, HasSubstr("not finished")));

  policies::NetworkShape wider = learnt.shape;
  wider.head += 32;
  EXPECT_THAT(priced_network(path_, wider, learnt.reach, 1),
              IsError(ErrorKind::kMismatch, HasSubstr("another policy")));
  config_.penalty_weight = 0;
  const auto together = make();
  ASSERT_OK(together->save(path_));
  EXPECT_THAT(priced_network(path_, learnt.shape, learnt.reach, 1),
              IsError(ErrorKind::kMismatch, HasSubstr("did not learn misses apart")));
}

TEST_F(DqnResume, IsNotSavedInTheMiddleOfAnEpisode) {
  const auto dqn = make();
  const std::vector<float> x(4);
  Step next;
  next.obs = x;
  next.mask = ::reins::testing::full_mask(Contextual().action_space());
  next.applied = policies::action_of({0, 0, 0, 0});
  next.dt_s = 1;
  ASSERT_OK(dqn->observe(x, next.mask, next));
  EXPECT_THAT(dqn->save(path_), IsError(ErrorKind::kUsage, HasSubstr("between episodes")));
}

}  // namespace
}  // namespace reins::agent
