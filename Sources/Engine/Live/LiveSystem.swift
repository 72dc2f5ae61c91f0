// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The machine as it is now, as far as a crash image describes machines: its RAM and its CPUs.
///
/// Two equal values need the same core header. CPUs are those *present*, because a kernel before
/// 6.6 gives each present CPU a note; whether a present CPU is online does not matter to it.
package struct LiveSystem: Hashable, Codable {
    /// System RAM a dump must hold: without the crash kernel's own ranges and, on x86, the first MiB.
    package let ram: AddressRanges
    /// The CPUs that are present.
    package let cpus: NumberSet

    /// Creates a description from its parts.
    package init(ram: AddressRanges, cpus: NumberSet) {
        self.ram = ram
        self.cpus = cpus
    }
}

/// What one look at the machine's memory and CPUs brought.
package struct LiveView: Equatable {
    /// The machine, or why it cannot be seen.
    package let system: Fact<LiveSystem>
    /// The crash kernel's reserved ranges, or why they cannot be seen.
    package let reserved: Fact<[AddressRange]>

    /// Creates a view from its parts.
    package init(system: Fact<LiveSystem>, reserved: Fact<[AddressRange]>) {
        self.system = system
        self.reserved = reserved
    }

    /// The kernel's own crash header leaves out the first MiB on x86 because the BIOS and the real
    /// mode trampoline own it (arch/x86/kernel/crash.c, `elf_header_exclude_ranges`).
    private static let legacyLowMemory = AddressRange(start: 0, end: 1 << 20)

    /// How often `/proc/iomem` is read to get it twice the same.
    ///
    /// It is printed page by page without a lock across them, so a hotplug in between tears it; five
    /// tries outlast one DIMM's events.
    private static let attempts = 5

    /// Looks at the machine below `root`.
    package init(of root: SystemRoot, on architecture: Architecture = .current) {
        let map: Fact<MemoryMap>
        do throws(SystemError) {
            map = LiveView.memoryMap(from: try LiveView.settledText(of: "/proc/iomem", below: root))
        } catch {
            map = .unknown(because: "\(error)")
        }
        reserved = map.map(\.reserved)
        switch (map, LiveView.presentProcessors(below: root)) {
        case (.known(let map), .known(let cpus)):
            let excluded = AddressRanges(map.reserved).union(
                LiveView.contiguousReserve(below: root))
            let ram = LiveView.withoutLegacyMemory(
                map.systemRAM.subtracting(excluded), on: architecture)
            system = .known(LiveSystem(ram: ram, cpus: cpus))
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            system = .unknown(because: reason)
        }
    }

    /// Returns `ram` without what dumps leave out on an architecture.
    static func withoutLegacyMemory(
        _ ram: AddressRanges, on architecture: Architecture
    ) -> AddressRanges {
        architecture == .x86 ? ram.subtracting(AddressRanges([legacyLowMemory])) : ram
    }

    /// Parses a memory map, telling an unprivileged view from a damaged one.
    private static func memoryMap(from text: String) -> Fact<MemoryMap> {
        do throws(MemoryMap.Flaw) {
            return .known(try MemoryMap(iomem: text))
        } catch {
            switch error {
            case .hidden:
                return .unknown(
                    because: "/proc/iomem shows only zeros: reading addresses needs CAP_SYS_ADMIN")
            case .malformed(let line):
                return .unknown(
                    because: "line \(line) of /proc/iomem is not of the form start-end : name")
            case .noSystemRAM:
                return .unknown(because: "/proc/iomem lists no System RAM")
            }
        }
    }

    /// Reads a file until two readings agree.
    private static func settledText(
        of file: String, below root: SystemRoot
    ) throws(SystemError) -> String {
        var text = try root.text(of: file)
        for _ in 1..<attempts {
            let again = try root.text(of: file)
            if again == text { return text }
            text = again
        }
        throw SystemError("read \(root.path(file)) twice the same", errno: EAGAIN)
    }

    /// Reads which CPUs are present.
    private static func presentProcessors(below root: SystemRoot) -> Fact<NumberSet> {
        let file = "/sys/devices/system/cpu/present"
        do throws(SystemError) {
            let list = try root.line(of: file)
            guard let list, let cpus = NumberSet(list: list), !cpus.isEmpty else {
                return .unknown(because: "\(root.path(file)) is missing or is not a list of CPUs")
            }
            return .known(cpus)
        } catch {
            return .unknown(because: "\(error)")
        }
    }

    /// The ranges of `crashkernel=…,cma`: System RAM that a crash image must not list.
    ///
    /// Kernels since about 6.19 tell them; older ones have none, so a missing file means none.
    private static func contiguousReserve(below root: SystemRoot) -> AddressRanges {
        for file in ["/sys/kernel/kexec/crash_cma_ranges", "/sys/kernel/kexec_crash_cma_ranges"] {
            guard let text = try? root.text(of: file) else { continue }  // absent: an older kernel
            return AddressRanges(text.split(separator: "\n").compactMap(MemoryMap.addressSpan))
        }
        return AddressRanges()
    }
}
