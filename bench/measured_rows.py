#!/usr/bin/env python3
"""Writes measured data sets, each in its own form, as rows that `reins board fit` reads (docs/board-fit.md).

  bench/measured_rows.py loudva Profiling.csv Nano     GPU, InceptionV3, with what one image costs
  bench/measured_rows.py nano-rails Profiling.csv      the Nano's of these, of the input rail; and the reported powers of
                                                       the network below, of the GPU's own
  bench/measured_rows.py xu3-power LOG...              A15 rail: idle and busy, by volts; temperature, time, heat
  bench/measured_rows.py xu3-steady LOG...             the same without time and heat: those logs had the fan off
  bench/measured_rows.py xu3-rails LOG...              A15 rail, both sources in one fit: the means of those steady states,
                                                       and the reported powers of the network below; no voltages (another bin)
  bench/measured_rows.py xu3-voltage VF_Rel...         voltages at every operating point
  bench/measured_rows.py parsec DATA                   Nano, CPU rail: one A57 busy
  bench/measured_rows.py unbent BOARD.toml             not rows: the board file with its GPU's V(f) a straight line, so that a
                                                       fit to some rows knows nothing of the others
  bench/measured_rows.py alexnet xu3|nano-cpu|nano-gpu Xun et al., MLCAD 2019, recalled and not re-read
"""
import csv
import sys

# InceptionV3 at 299 x 299: multiply-accumulates; activations of its convolutions written and read once (9.0 million
# floats); and the operations that a GPU starts one by one, which nobody counted: 94 convolutions, each with its
# normalisation and ReLU, 14 poolings, 15 concatenations and 2 for the classifier are 313; 370 also brings the small
# network below, with 20, within 15 % of its reported times on the Nano's GPU.
INCEPTION = {"macs": 5.71e9, "bytes": 7.2e7, "launches": 370}
# The network of Xun et al. was not published with its counts: a grouped AlexNet of its description (bench/
# dynamic_range.cpp); bytes: weights and activations once; launches: four groups of five layers.
ALEXNET = {"macs": 47.8e6, "bytes": 5e6, "launches": 20}

# mapping, MHz, ms, mW
REPORTED = {
    "xu3": [("a15x1", 200, 1020, 326), ("a15x1", 1000, 204, 846), ("a15x1", 1800, 117, 2120),
            ("a7x1", 200, 1780, 72.4), ("a7x1", 700, 504, 141), ("a7x1", 1300, 280, 329)],
    "nano-cpu": [("a57x1", 921.6, 69.4, 878), ("a57x1", 1428, 46.9, 1490)],
    "nano-gpu": [("gpu", 614.4, 7.4, 1340), ("gpu", 921.6, 4.93, 2500)],
}
RAIL = {"a15x1": "a15", "a7x1": "a7", "a57x1": "cpu", "gpu": "gpu"}


def loudva_rows(path, device):
    with open(path) as file:
        return [row for row in csv.DictReader(file) if row["Directory"] == device]


def cost_of(network):
    return f"{network['macs']},{network['bytes']},{network['launches']}"


def loudva(args):
    print("mapping,freq_hz,batch,latency_s,energy_j,throughput_per_s,macs,bytes,launches")
    for row in loudva_rows(*args[:2]):
        print(f"gpu,{row['Frequency']},{row['Batch Size']},{row['Latency']},{row['Energy']},{row['Throughput']},{cost_of(INCEPTION)}")


def nano_rails(args):
    print("mapping,rail,freq_hz,batch,busy_cores,latency_s,energy_j,power_mw,throughput_per_s,macs,bytes,launches")
    for row in loudva_rows(args[0], "Nano"):
        print(f"gpu,5v-in,{row['Frequency']},{row['Batch Size']},,{row['Latency']},{row['Energy']},,{row['Throughput']},{cost_of(INCEPTION)}")
    for mapping, mhz, _, mw in REPORTED["nano-gpu"]:
        print(f"{mapping},{RAIL[mapping]},{mhz * 1e6:.0f},,1,,,{mw},,,,")


def xu3_samples(path):
    with open(path) as file:
        names = file.readline().replace(",", "").split("\t")
        lines = [line.rstrip("\n").split("\t") for line in file]
    return [{name.strip(): float(cell) for name, cell in zip(names, cells) if cell} for cells in lines if len(cells) >= len(names)]


def xu3_states(samples):
    """The A15 ran at 1000 and 2000 MHz only: the voltage says at which. Samples where its load or voltage changes are of
    two states at once and are left out. Yields sample, MHz, busy cores, volts and degrees."""
    for before, now, after in zip(samples, samples[1:], samples[2:]):
        load = [sum(one[f"usage_c{c}"] for c in range(4, 8)) for one in (before, now, after)]
        volts = [one["volts_big_cluster"] for one in (before, now, after)]
        if max(load) - min(load) > 0.05 or len(set(volts)) > 1 or volts[1] not in (0.925, 1.275):
            continue
        mhz = 1000 if volts[1] == 0.925 else 2000
        yield now, mhz, 0 if load[1] < 0.02 else load[1], volts[1], max(now[f"temp{c}"] for c in range(4, 8))


def xu3_power(args, heat=True):
    """The A7 stayed at 200 MHz."""
    print("mapping,rail,freq_mhz,busy_cores,power_w,voltage_v,temperature_c,time_s,heat_w")
    for path in args:
        samples = xu3_samples(path)
        begin = samples[0]["time"]
        for now, mhz, busy, volts, hot in xu3_states(samples):
            print(f"a15x1,a15,{mhz},{busy:.3f},{now['w_big']},{volts},{hot},,")
            if now["w_little"] > 0 and sum(now[f"usage_c{c}"] for c in range(4)) < 0.5:
                print(f"a7x1,a7,200,0,{now['w_little']},,{hot},,")
        for now in samples if heat else []:
            watts = now["w_big"] + now["w_little"] + now["w_gpu"] + now["w_mem"]
            hot = max(now[f"temp{c}"] for c in range(4, 8))
            print(f"a15x1,a15,1000,,,,{hot},{now['time'] - begin:.2f},{watts:.4f}")


def xu3_steady(args):
    xu3_power(args, heat=False)


def xu3_rails(args):
    """A mean for each frequency, number of busy cores and 5 C of at least five samples, for there are thousands of them
    and three reported powers. Up to 87 C: above, at 2000 MHz, power falls as the temperature rises (throttled, which the
    voltage does not show)."""
    states = {}
    for path in args:
        for now, mhz, busy, _, hot in xu3_states(xu3_samples(path)):
            if hot <= 87:
                states.setdefault((mhz, round(busy), round(hot / 5)), []).append((busy, now["w_big"], hot))
    print("mapping,rail,freq_mhz,busy_cores,power_w,temperature_c")
    for (mhz, _, _), samples in sorted(states.items()):
        if len(samples) >= 5:
            busy, watts, hot = (sum(column) / len(samples) for column in zip(*samples))
            print(f"a15x1,a15,{mhz},{busy:.3f},{watts:.5f},{hot:.2f}")
    for mapping, mhz, _, mw in REPORTED["xu3"]:
        if mapping == "a15x1":
            print(f"{mapping},{RAIL[mapping]},{mhz},1,{mw / 1000},")


def xu3_voltage(args):
    print("mapping,freq_khz,voltage_v")
    for path in args:
        with open(path) as file:
            for line in list(file)[2:]:
                little_v, little_khz, big_v, big_khz = line.split()[:4]
                print(f"a15x1,{big_khz},{big_v}")
                print(f"a7x1,{little_khz},{little_v}")


def parsec(args):
    print("mapping,rail,freq_mhz,busy_cores,power_w,temperature_c")
    with open(args[0]) as file:
        names = file.readline().lstrip("#").rstrip("\n").split("\t")
        at = {name: i for i, name in enumerate(names)}
        for line in file:
            cells = line.rstrip("\n").split("\t")
            mhz = float(cells[at["CPU Frequency (MHz)"]])
            watts = float(cells[at["Power[W]"]])
            celsius = float(cells[at["CPU Temperature(C)"]])
            print(f"a57x1,cpu,{mhz},1,{watts},{celsius}")


def alexnet(args):
    print("mapping,rail,freq_mhz,latency_ms,power_mw,macs,bytes,launches")
    for mapping, mhz, ms, mw in REPORTED[args[0]]:
        print(f"{mapping},{RAIL[mapping]},{mhz},{ms},{mw},{cost_of(ALEXNET)}")


def unbent(args):
    gpu = False
    for line in open(args[0]):
        gpu = gpu or line.startswith('name = "gpu"')
        if gpu and line.startswith("freq_khz"):
            freqs = [float(f) for f in line.split("[")[1].split("]")[0].split(",")]
        if gpu and line.startswith("voltage_v"):
            top = float(line.split("]")[0].split(",")[-1])
            volts = [round(top * (0.75 + 0.25 * f / freqs[-1]), 4) for f in freqs]
            line, gpu = f"voltage_v = {volts}\n", False
        print(line, end="")


KINDS = {"unbent": (unbent, 1), "loudva": (loudva, 2), "nano-rails": (nano_rails, 1), "xu3-power": (xu3_power, 1), "xu3-steady": (xu3_steady, 1), "xu3-rails": (xu3_rails, 1), "xu3-voltage": (xu3_voltage, 1), "parsec": (parsec, 1),
         "alexnet": (alexnet, 1)}

if __name__ == "__main__":
    kind = KINDS.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if kind is None or len(sys.argv) - 2 < kind[1]:
        sys.exit(__doc__.strip())
    kind[0](sys.argv[2:])
