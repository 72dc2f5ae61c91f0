// SPDX-License-Identifier: Apache-2.0

/// What one look at the machine's memory and CPUs has shown.
package struct LiveView: Equatable {
    /// The machine, or why it cannot be seen.
    package let system: Fact<LiveSystem>
    /// The crash kernel's reserved ranges, or why they cannot be seen.
    package let reserved: Fact<[AddressRange]>
    /// Where its CPUs leave their registers, or why that is not known.
    package let notes: Fact<ProcessorNotes>
    /// Whether a moment later there may be more to see.
    ///
    /// The machine changed while it was looked at, or a read failed in a way that passes.
    let mayPass: Bool
    /// Whether the kernel lists RAM or a CPU for which it has no device: not yet, or no more.
    let isUnsettled: Bool
    /// RAM that is in no memory block: it is coming or going.
    let absent: AddressRanges
    /// What tells this view from those before and after a hotplug; `nil` if nothing could be read.
    let fingerprint: Fingerprint?

    /// What tells one state of the machine from others, as long as this process lives.
    struct Fingerprint: Equatable {
        /// Of the memory map and the present CPUs.
        private let digest: Int
        /// How many memory blocks there are, or something that grows and shrinks with them.
        private var blocks: UInt64
        /// How many more there are once all RAM that is listed has its blocks; `.max` if that is not known.
        private(set) var awaited: UInt64 = .max

        fileprivate init(_ files: [[UInt8]], blocks: UInt64) {
            (digest, self.blocks) = (files.hashValue, blocks)
        }

        /// The same as `earlier` if nothing has changed since, except that blocks have come; `nil` if
        /// more has.
        func following(_ earlier: Fingerprint) -> Fingerprint? {
            guard digest == earlier.digest, blocks >= earlier.blocks else { return nil }
            var next = earlier
            next.blocks = blocks
            if earlier.awaited < .max {
                next.awaited = earlier.awaited - min(earlier.awaited, blocks - earlier.blocks)
            }
            return next
        }

        /// Notes which RAM has no blocks, unless some have come or gone while they were counted.
        fileprivate mutating func note(absent: AddressRanges, in all: MemoryBlocks?, now: UInt64) {
            guard let all, now == blocks else { return }
            awaited = all.count(for: absent)
        }
    }

    /// Looks at the machine below `root`.
    ///
    /// `untoldReserve` is asked for the ranges of `crashkernel=…,cma` where there are some and no file
    /// tells them.
    package init(
        of root: SystemRoot, on architecture: Architecture = .current,
        untoldReserve: () -> Fact<AddressRanges> = LiveView.untold
    ) {
        var reading = Reading()
        var isMoving = false
        var fingerprint: Fingerprint?
        let map = reading.fact { () throws(SystemError) in
            // It is printed page by page without a lock across them: a hotplug in between tears it.
            let text = try root.bytes(of: SystemRoot.iomem)
            isMoving = try root.bytes(of: SystemRoot.iomem) != text
            fingerprint = LiveView.fingerprint(of: text, below: root)
            return isMoving
                ? .unknown(because: "/proc/iomem keeps changing: memory is being hot-plugged")
                : LiveView.memoryMap(from: String(decoding: text, as: UTF8.self))
        }
        reserved = reading.fact(given: map) { map throws(SystemError) in
            try ReservedMemory.ranges(of: map, below: root)
        }
        let present = reading.fact { () throws(SystemError) in
            try LiveView.presentProcessors(below: root)
        }
        notes = reading.fact(given: present) { present throws(SystemError) in
            try ProcessorNotes.read(of: present, below: root)
        }
        let contiguous = reading.fact { () throws(SystemError) in
            try LiveView.contiguousReserve(below: root, untoldReserve)
        }
        mayPass = isMoving || reading.mayPass
        switch (map, reserved, present, contiguous) {
        case (.known(let map), .known(let reserved), .known(let present), .known(let contiguous)):
            let cpus = notes.value?.cpus(among: present) ?? present
            // Blocks that cannot be asked are taken for settled: the next look is never far.
            let blocks = try? MemoryBlocks(below: root)
            absent = blocks?.absent(in: map.systemRAM) ?? AddressRanges()
            fingerprint?.note(absent: absent, in: blocks, now: MemoryBlocks.links(below: root))
            isUnsettled = !absent.isEmpty || cpus != present
            let excluded = AddressRanges(reserved).union(contiguous)
                .union(architecture.ramOutsideDumps)
            system = .known(LiveSystem(ram: map.systemRAM.subtracting(excluded), cpus: cpus))
        case (.unknown(let reason), _, _, _), (_, .unknown(let reason), _, _),
            (_, _, .unknown(let reason), _), (_, _, _, .unknown(let reason)):
            (isUnsettled, absent) = (false, AddressRanges())
            system = .unknown(because: reason)
        }
        self.fingerprint = fingerprint
    }

    /// Takes the fingerprint of the machine below `root`; `nil` if it cannot be read.
    ///
    /// It tells whether anything has changed at all, at a tenth of the price of a look.
    static func fingerprint(below root: SystemRoot) -> Fingerprint? {
        (try? root.bytes(of: SystemRoot.iomem)).flatMap { fingerprint(of: $0, below: root) }
    }

    private static func fingerprint(of map: [UInt8], below root: SystemRoot) -> Fingerprint? {
        (try? root.bytes(of: presentFile)).map { present in
            Fingerprint([map, present], blocks: MemoryBlocks.links(below: root))
        }
    }

    private static let presentFile = "/sys/devices/system/cpu/present"

    /// Parses a memory map; one without addresses is not a damaged one.
    private static func memoryMap(from text: String) -> Fact<MemoryMap> {
        do throws(MemoryMap.Flaw) {
            return .known(try MemoryMap(iomem: text))
        } catch {
            switch error {
            case .hidden:
                return .unknown(
                    because: "/proc/iomem shows only zeros: who opens it needs CAP_SYS_ADMIN")
            case .malformed(let line):
                return .unknown(
                    because: "line \(line) of /proc/iomem is not of the form start-end : name")
            case .noSystemRAM:
                return .unknown(because: "/proc/iomem lists no System RAM")
            }
        }
    }

    /// Reads which CPUs are present.
    private static func presentProcessors(
        below root: SystemRoot
    ) throws(SystemError) -> Fact<NumberSet> {
        guard let list = try root.line(of: presentFile), let cpus = NumberSet(list: list),
            !cpus.isEmpty
        else {
            return .unknown(
                because: "\(root.path(presentFile)) is missing or is not a list of CPUs")
        }
        return .known(cpus)
    }

    /// The ranges of `crashkernel=…,cma`: System RAM that a crash image must not list.
    ///
    /// Kernels since about 6.19 list them. Kernels before 6.17 have none. Those between have them and
    /// no file; the parameters of the boot say whether there are any.
    private static func contiguousReserve(
        below root: SystemRoot, _ untold: () -> Fact<AddressRanges>
    ) throws(SystemError) -> Fact<AddressRanges> {
        for file in ["/sys/kernel/kexec/crash_cma_ranges", "/sys/kernel/kexec_crash_cma_ranges"] {
            do throws(SystemError) {
                let text = try root.text(of: file)
                return .known(
                    AddressRanges(text.split(separator: "\n").compactMap(MemoryMap.addressSpan)))
            } catch  where !error.mayPass {
                // Missing, or not for us: the kernel's memory tells it too.
                continue
            }
        }
        let line = try root.line(of: "/proc/cmdline") ?? ""
        // Splitting the line takes long, and nearly no machine has such a range.
        let isWanted =
            line.contains(",cma")
            && KernelParameters(String(line)).parameters.contains { parameter in
                parameter.name == "crashkernel" && parameter.value?.hasSuffix(",cma") == true
            }
        return isWanted ? untold() : .known(AddressRanges())
    }

    /// What is said of the ranges where nobody tells them.
    package static func untold() -> Fact<AddressRanges> {
        .unknown(because: "this kernel has no file that tells the ranges of crashkernel=…,cma")
    }
}
