// Two processors with P-states of their own, a thermal zone and a battery that discharges: what the guest kernel's own
// drivers (acpi-cpufreq, thermal, battery) make cpufreq policies, a thermal zone and a power supply of.
// P-state control and status are I/O port 0x80 (POST codes), which takes writes and does nothing.
DefinitionBlock ("", "SSDT", 2, "REINS ", "PLATFORM", 1)
{
  External (\_SB.CPUS.C000, DeviceObj)
  External (\_SB.CPUS.C001, DeviceObj)

  // _PSS: MHz, mW, latency us, bus master latency us, control, status. The latency of 10 us makes the kernel's rate limit
  // and sampling interval 10 ms.
  Scope (\_SB.CPUS.C000)
  {
    Name (_PCT, Package (2) {
      ResourceTemplate () { Register (SystemIO, 8, 0, 0x80) },
      ResourceTemplate () { Register (SystemIO, 8, 0, 0x80) }
    })
    Name (_PSS, Package (5) {
      Package (6) { 2000, 2600, 10, 10, 0, 0 },
      Package (6) { 1600, 1800, 10, 10, 1, 1 },
      Package (6) { 1200, 1200, 10, 10, 2, 2 },
      Package (6) {  800,  700, 10, 10, 3, 3 },
      Package (6) {  400,  350, 10, 10, 4, 4 }
    })
    Name (_PPC, 0)
    Name (_PSD, Package (1) { Package (5) { 5, 0, 0, 0xFD, 1 } })
  }
  Scope (\_SB.CPUS.C001)
  {
    Name (_PCT, Package (2) {
      ResourceTemplate () { Register (SystemIO, 8, 0, 0x80) },
      ResourceTemplate () { Register (SystemIO, 8, 0, 0x80) }
    })
    Name (_PSS, Package (4) {
      Package (6) { 1300, 600, 10, 10, 0, 0 },
      Package (6) {  900, 350, 10, 10, 1, 1 },
      Package (6) {  600, 200, 10, 10, 2, 2 },
      Package (6) {  300, 100, 10, 10, 3, 3 }
    })
    Name (_PPC, 0)
    Name (_PSD, Package (1) { Package (5) { 5, 0, 1, 0xFD, 1 } })
  }

  Scope (\_TZ)
  {
    ThermalZone (SOC)
    {
      Method (_TMP) { Return (3152) }  // 42.05 C, in tenths of a kelvin
      Method (_PSV) { Return (3582) }  // 85 C
      Method (_CRT) { Return (3732) }  // 100 C
      Name (_TC1, 1)
      Name (_TC2, 1)
      Name (_TSP, 10)
      Name (_PSL, Package (1) { \_SB.CPUS.C000 })
    }
  }

  Scope (\_SB)
  {
    Device (BAT0)
    {
      Name (_HID, EisaId ("PNP0C0A"))
      Name (_UID, 1)
      Name (_PCL, Package (1) { \_SB })
      Method (_STA) { Return (0x1F) }
      // Design 40 Wh, last full 36 Wh; discharging with 5.4 W, 27 Wh left, 11.1 V.
      Method (_BIF) { Return (Package (13) { 0, 40000, 36000, 1, 11100, 4000, 1000, 10, 10, "EMU", "1", "LION", "REINS" }) }
      Method (_BST) { Return (Package (4) { 1, 5400, 27000, 11100 }) }
    }
  }
}
