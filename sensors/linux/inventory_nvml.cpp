// NVIDIA's management library, opened at run time and never linked: what is declared here is the part of its published
// API that is used (NVML API Reference Guide: milliwatts, millijoules, degrees, MHz). Absent, it costs one line.
#include <dlfcn.h>

#include <array>
#include <memory>
#include <string>

#include "core/kernel_file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

using Device = void*;
constexpr int kSuccess = 0;
constexpr int kTemperatureGpu = 0;
constexpr int kClockGraphics = 0;
constexpr int kClockMemory = 2;

struct CloseLibrary {
  void operator()(void* library) const noexcept { ::dlclose(library); }
};

template <typename Function>
Function* symbol(void* library, const char* name) {
  // POSIX says that a function's address survives this.
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

template <typename... Arguments>
bool call(void* library, const char* name, Arguments... arguments) {
  auto* const function = symbol<int(Arguments...)>(library, name);
  return function != nullptr && function(arguments...) == kSuccess;
}

/// An unsigned value that a device may not have.
template <typename... Arguments>
std::optional<unsigned> ask(void* library, const char* name, Device device, Arguments... arguments) {
  unsigned value = 0;
  if (!call<Device, Arguments..., unsigned*>(library, name, device, arguments..., &value)) return std::nullopt;
  return value;
}

std::optional<double> milli(std::optional<unsigned> value) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value) * 1e-3;
}

std::optional<std::int64_t> khz(std::optional<unsigned> mhz) {
  if (!mhz) return std::nullopt;
  return static_cast<std::int64_t>(*mhz) * 1000;
}

NvmlGpu read_gpu(void* library, Device device) {
  NvmlGpu gpu;
  std::array<char, 96> name{};
  if (call<Device, char*, unsigned>(library, "nvmlDeviceGetName", device, name.data(),
                                    static_cast<unsigned>(name.size() - 1)))
    gpu.name = name.data();
  gpu.power_w = milli(ask(library, "nvmlDeviceGetPowerUsage", device));
  unsigned long long energy_mj = 0;
  gpu.total_energy =
      call<Device, unsigned long long*>(library, "nvmlDeviceGetTotalEnergyConsumption", device, &energy_mj);
  gpu.limit_w = milli(ask(library, "nvmlDeviceGetEnforcedPowerLimit", device));
  if (const auto celsius = ask(library, "nvmlDeviceGetTemperature", device, kTemperatureGpu))
    gpu.temperature_c = static_cast<double>(*celsius);
  gpu.core_khz = khz(ask(library, "nvmlDeviceGetClockInfo", device, kClockGraphics));
  gpu.memory_khz = khz(ask(library, "nvmlDeviceGetClockInfo", device, kClockMemory));
  return gpu;
}

/// True where the PCI bus has an NVIDIA display controller.
bool has_nvidia_card(const std::filesystem::path& root) {
  for (const auto& device : find_paths(root, "sys/bus/pci/devices/*")) {
    if (first_line(device / "vendor") == "0x10de" && first_line(device / "class").starts_with("0x03")) return true;
  }
  return false;
}

void read_library(const std::string& name, Nvml& nvml) {
  const std::unique_ptr<void, CloseLibrary> library(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library == nullptr) {
    nvml.absent = Error(ErrorKind::kNotFound, "cannot be opened: NVIDIA's driver is not installed here", name);
    return;
  }
  if (!call(library.get(), "nvmlInit_v2")) {
    nvml.absent =
        Error(ErrorKind::kUnsupported, "does not start: no NVIDIA driver runs here, or it denies this user", name);
    return;
  }
  std::array<char, 96> version{};
  if (call<char*, unsigned>(library.get(), "nvmlSystemGetDriverVersion", version.data(),
                            static_cast<unsigned>(version.size() - 1)))
    nvml.driver = version.data();
  unsigned count = 0;
  static_cast<void>(call<unsigned*>(library.get(), "nvmlDeviceGetCount_v2", &count));
  for (unsigned i = 0; i < count && i < 64; ++i) {
    Device device = nullptr;
    if (call<unsigned, Device*>(library.get(), "nvmlDeviceGetHandleByIndex_v2", i, &device))
      nvml.gpus.push_back(read_gpu(library.get(), device));
  }
  if (nvml.gpus.empty()) nvml.absent = Error(ErrorKind::kNotFound, "knows of no GPU that this user may use", name);
  static_cast<void>(call(library.get(), "nvmlShutdown"));
}

}  // namespace

void survey_nvml(InventoryDraft& draft, const std::string& library) {
  Nvml& nvml = draft.found.nvml;
  if (library.empty()) {
    nvml.absent = Error(ErrorKind::kUnsupported, "speaks of this machine, and another root is looked at", "NVML");
  } else {
    read_library(library, nvml);
  }
  if (nvml.gpus.empty() && has_nvidia_card(draft.root)) {
    draft.miss("nvml", "there is an NVIDIA card, and its driver or libnvidia-ml.so.1 is not",
               "apt install nvidia-driver libnvidia-ml1 && reboot (Debian: non-free)");
  }
}

}  // namespace reins::sensors
