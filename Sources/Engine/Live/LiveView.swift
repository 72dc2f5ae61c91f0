// SPDX-License-Identifier: Apache-2.0

internal import Glibc

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
                LiveView.contiguousReserve(below: root)
            ).union(architecture.ramOutsideDumps)
            system = .known(LiveSystem(ram: map.systemRAM.subtracting(excluded), cpus: cpus))
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            system = .unknown(because: reason)
        }
    }

    /// Parses a memory map, telling an unprivileged view from a damaged one.
    private static func memoryMap(from text: String) -> Fact<MemoryMap> {
        do throws(MemoryMap.Flaw) {
            return .known(try MemoryMap(iomem: text))
        } catch {
            switch error {
            case .hidden:
                return .unknown(
                    because: "/proc/iomem shows only zeros: reading it takes CAP_SYS_ADMIN")
            case .malformed(let line):
                return .unknown(
                    because: "line \(line) of /proc/iomem is not of the form start-end : name")
            case .noSystemRAM:
                return .unknown(because: "/proc/iomem names no System RAM")
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
                return .unknown(because: "\(root.path(file)) is missing or no list of CPUs")
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
