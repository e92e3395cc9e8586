// tests/support/same_board.hpp: two boards, compared in every field but the fingerprint.
#pragma once

#include <gtest/gtest.h>

#include "boards/board.hpp"

namespace reins::testing {

inline void expect_same_cluster(const boards::Cluster& a, const boards::Cluster& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.cpus, b.cpus);
  EXPECT_EQ(a.capacity, b.capacity);
  EXPECT_EQ(a.rail, b.rail);
  EXPECT_EQ(a.control, b.control);
  EXPECT_EQ(a.switch_s, b.switch_s);
  EXPECT_EQ(a.dwell_s, b.dwell_s);
  ASSERT_EQ(a.opps.size(), b.opps.size());
  for (std::size_t i = 0; i < a.opps.size(); ++i) {
    EXPECT_EQ(a.opps[i].freq_khz, b.opps[i].freq_khz);
    EXPECT_EQ(a.opps[i].voltage_v, b.opps[i].voltage_v);
  }
  EXPECT_EQ(a.power.core_w_per_mhz_v2, b.power.core_w_per_mhz_v2);
  EXPECT_EQ(a.power.idle_clock_w_per_mhz_v2, b.power.idle_clock_w_per_mhz_v2);
  EXPECT_EQ(a.power.leak_w, b.power.leak_w);
  EXPECT_EQ(a.power.leak_ref_v, b.power.leak_ref_v);
  EXPECT_EQ(a.power.leak_voltage_exponent, b.power.leak_voltage_exponent);
  EXPECT_EQ(a.power.leak_ref_c, b.power.leak_ref_c);
  EXPECT_EQ(a.power.leak_per_c, b.power.leak_per_c);
  EXPECT_EQ(a.time.macs_per_cycle, b.time.macs_per_cycle);
  EXPECT_EQ(a.time.parallel_fraction, b.time.parallel_fraction);
  EXPECT_EQ(a.time.bytes_per_s, b.time.bytes_per_s);
  EXPECT_EQ(a.time.overlap, b.time.overlap);
  EXPECT_EQ(a.time.launch_cycles, b.time.launch_cycles);
  EXPECT_EQ(a.time.launch_s, b.time.launch_s);
  EXPECT_EQ(a.time.call_cycles, b.time.call_cycles);
  EXPECT_EQ(a.time.noise_sigma, b.time.noise_sigma);
  ASSERT_EQ(a.idle.size(), b.idle.size());
  for (std::size_t i = 0; i < a.idle.size(); ++i) {
    EXPECT_EQ(a.idle[i].name, b.idle[i].name);
    EXPECT_EQ(a.idle[i].clock_fraction, b.idle[i].clock_fraction);
    EXPECT_EQ(a.idle[i].leakage_fraction, b.idle[i].leakage_fraction);
    EXPECT_EQ(a.idle[i].exit_latency_s, b.idle[i].exit_latency_s);
    EXPECT_EQ(a.idle[i].residency_s, b.idle[i].residency_s);
  }
}

inline void expect_same_board(const boards::Board& a, const boards::Board& b) {
  EXPECT_EQ(a.schema, b.schema);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.title, b.title);
  EXPECT_EQ(a.provisional, b.provisional);
  EXPECT_EQ(a.notes, b.notes);
  EXPECT_EQ(a.migration_s, b.migration_s);
  EXPECT_EQ(a.contention, b.contention);
  EXPECT_EQ(a.tick_s, b.tick_s);
  ASSERT_EQ(a.clusters.size(), b.clusters.size());
  for (std::size_t i = 0; i < a.clusters.size(); ++i) expect_same_cluster(a.clusters[i], b.clusters[i]);
  ASSERT_EQ(a.mappings.size(), b.mappings.size());
  for (std::size_t i = 0; i < a.mappings.size(); ++i) {
    EXPECT_EQ(a.mappings[i].name, b.mappings[i].name);
    EXPECT_EQ(a.mappings[i].slot, b.mappings[i].slot);
    EXPECT_EQ(a.mappings[i].cluster, b.mappings[i].cluster);
    EXPECT_EQ(a.mappings[i].cores, b.mappings[i].cores);
    EXPECT_EQ(a.mappings[i].cpu_quota, b.mappings[i].cpu_quota);
  }
  ASSERT_EQ(a.rails.size(), b.rails.size());
  for (std::size_t i = 0; i < a.rails.size(); ++i) {
    EXPECT_EQ(a.rails[i].name, b.rails[i].name);
    EXPECT_EQ(a.rails[i].accounting, b.rails[i].accounting);
    EXPECT_EQ(a.rails[i].contains, b.rails[i].contains);
    EXPECT_EQ(a.rails[i].constant_w, b.rails[i].constant_w);
    EXPECT_EQ(a.rails[i].j_per_byte, b.rails[i].j_per_byte);
    EXPECT_EQ(a.rails[i].upstream_w_per_w, b.rails[i].upstream_w_per_w);
    EXPECT_EQ(a.rails[i].sensor, b.rails[i].sensor);
    EXPECT_EQ(a.rails[i].sensor_period_s, b.rails[i].sensor_period_s);
    EXPECT_EQ(a.rails[i].sensor_quantum_w, b.rails[i].sensor_quantum_w);
    EXPECT_EQ(a.rails[i].sensor_noise, b.rails[i].sensor_noise);
  }
  EXPECT_EQ(a.thermal.ambient_c, b.thermal.ambient_c);
  EXPECT_EQ(a.thermal.r_c_per_w, b.thermal.r_c_per_w);
  EXPECT_EQ(a.thermal.c_j_per_c, b.thermal.c_j_per_c);
  EXPECT_EQ(a.thermal.throttle_c, b.thermal.throttle_c);
  EXPECT_EQ(a.thermal.release_c, b.thermal.release_c);
  EXPECT_EQ(a.thermal.poll_s, b.thermal.poll_s);
  EXPECT_EQ(a.thermal.sensor_period_s, b.thermal.sensor_period_s);
  EXPECT_EQ(a.thermal.sensor_quantum_c, b.thermal.sensor_quantum_c);
  EXPECT_EQ(a.thermal.throttled, b.thermal.throttled);
  EXPECT_EQ(a.thermal.zone, b.thermal.zone);
}

}  // namespace reins::testing
