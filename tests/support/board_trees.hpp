// tests/support/board_trees.hpp: trees that mirror what the kernels of real boards show below /sys and /proc.
#pragma once

#include "tests/support/sys_tree.hpp"

namespace reins::testing {

/// Odroid XU3 with the vendor's 3.10 kernel: four INA231 of the old driver (0x40 A15, 0x41 memory, 0x44 GPU, 0x45 A7).
void lay_xu3_old(SysTree& tree);
/// Odroid XU3 with a mainline kernel: capacities, boost, devfreq for GPU and memory controller, INA231 over hwmon,
/// trips and cooling devices of which one caps the A15 at present.
void lay_xu3_mainline(SysTree& tree);
/// Jetson Nano with L4T: ina3221x over iio, the GPU's devfreq, EMC in debugfs.
void lay_jetson_nano(SysTree& tree);
/// Jetson Orin Nano with JetPack 5: two policies, ina3221 over hwmon with labels, a GPU without a set point.
void lay_orin_nano(SysTree& tree);
/// Raspberry Pi 4: one policy, one zone, an I2C bus and nothing on it.
void lay_raspberry_pi_4(SysTree& tree);
/// A laptop with intel_pstate (no frequency list), SMT and a hybrid processor, RAPL, a battery, deep idle states.
void lay_laptop(SysTree& tree);

}  // namespace reins::testing
