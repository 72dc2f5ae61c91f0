// SPDX-License-Identifier: Apache-2.0

/// What one look at the machine's memory and CPUs has shown.
package struct LiveView: Equatable {
    /// The machine, or why it cannot be seen.
    package let system: Fact<LiveSystem>
    /// The crash kernel's reserved ranges, or why they cannot be seen.
    package let reserved: Fact<[AddressRange]>
    /// Whether the machine changed while it was looked at.
    let isMoving: Bool

    private static let iomem = "/proc/iomem"

    /// Looks at the machine below `root`.
    package init(of root: SystemRoot, on architecture: Architecture = .current) {
        let map: Fact<MemoryMap>
        do throws(SystemError) {
            // It is printed page by page without a lock across them: a hotplug in between tears it.
            let text = try root.text(of: LiveView.iomem)
            isMoving = try root.text(of: LiveView.iomem) != text
            map =
                isMoving
                ? .unknown(because: "/proc/iomem keeps changing: memory is being hot-plugged")
                : LiveView.memoryMap(from: text)
        } catch {
            isMoving = false
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

    /// Parses a memory map; one without addresses is not a damaged one.
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
    /// Kernels since about 6.19 list them. Older ones have no such ranges, so a missing file means
    /// none.
    private static func contiguousReserve(below root: SystemRoot) -> AddressRanges {
        for file in ["/sys/kernel/kexec/crash_cma_ranges", "/sys/kernel/kexec_crash_cma_ranges"] {
            guard let text = try? root.text(of: file) else { continue }  // absent: an older kernel
            return AddressRanges(text.split(separator: "\n").compactMap(MemoryMap.addressSpan))
        }
        return AddressRanges()
    }
}
