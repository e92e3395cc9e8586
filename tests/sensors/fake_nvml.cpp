// A library with NVML's names for the tests: two GPUs, of which the second measures no power and counts no energy.
// Built as libfake-nvml.so and opened by path, as the real one is by name.
#include <cstdio>

namespace {

constexpr int kNotSupported = 3;
int first = 0, second = 1;

}  // namespace

extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "550.54");
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = index == 0 ? &first : &second;
  return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned size) {
  std::snprintf(text, size, "%s", device == &first ? "Fake H100" : "Fake GT 710");
  return 0;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  *milliwatts = 70250;
  return device == &first ? 0 : kNotSupported;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  *millijoules = 123456789;
  return device == &first ? 0 : kNotSupported;
}
int nvmlDeviceGetTemperature(void*, int sensor, unsigned* celsius) {
  *celsius = 41;
  return sensor == 0 ? 0 : kNotSupported;
}
int nvmlDeviceGetClockInfo(void* device, int clock, unsigned* mhz) {
  *mhz = clock == 2 ? 2619 : 1980;
  return device == &first ? 0 : kNotSupported;
}

}  // extern "C"
