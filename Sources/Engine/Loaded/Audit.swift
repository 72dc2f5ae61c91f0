// SPDX-License-Identifier: Apache-2.0

/// Looks at what is really loaded, and compares it with the machine.
///
/// Every other tool believes somebody: the last load, a flag in sysfs. This one reads the image from
/// reserved memory and asks what a crash right now would lose. It takes no lock of the kernel's,
/// writes nothing, and decides nothing: what it finds is a value.
package struct Audit {
    /// What an audit has found in reserved memory.
    package enum Finding: Equatable {
        /// Nothing is loaded.
        case nothing
        /// An image, understood in full.
        case image(ResidentImage)
        /// An image that cannot work; why.
        case broken(because: String)

        /// The image, where there is one that was understood.
        package var image: ResidentImage? {
            if case .image(let image) = self { image } else { nil }
        }
    }

    /// How much of an image is looked at.
    package enum Depth: Equatable {
        /// `struct kimage`, the core header, the command line: some hundred KiB.
        case cheap
        /// All of it, to make its digest anew: as much as the image has.
        case thorough
    }

    /// What an audit has found.
    package struct Report: Equatable {
        /// What is loaded, or why nobody can tell.
        package let finding: Fact<Finding>
        /// The machine as the image describes it; unknown where the image is.
        package let described: Fact<LiveSystem>
        /// RAM that is offline and that the image does not describe.
        package let offline: AddressRanges
        /// How many bytes of memory were read.
        package let byteCount: UInt64

        /// Compares the image with the machine.
        package func coverage(of live: LiveSystem) -> Fact<Coverage> {
            described.map { Coverage(live: live, described: $0, offline: offline) }
        }
    }

    private let root: SystemRoot
    private let architecture: Architecture
    private let digest: PurgatoryDigest?
    /// What must be known of the kernel; the caller may keep it for the boot.
    package private(set) var layout: KernelLayout?

    /// Creates an auditor of the machine below `root`.
    ///
    /// With a `layout` that was found earlier in the same boot, and the `digest` of an image that was
    /// found whole, it spares itself the searches for them.
    package init(
        below root: SystemRoot, layout: KernelLayout? = nil, digest: PurgatoryDigest? = nil,
        architecture: Architecture = .current
    ) {
        self.root = root
        self.digest = digest
        self.layout = layout
        self.architecture = architecture
    }

    /// Looks at the image in `reserved` and at what of `live` it describes.
    ///
    /// While it makes the digest anew, it asks each few milliseconds whether it `givesWay`.
    package mutating func run(
        _ depth: Depth, reserved: [AddressRange], live: LiveSystem,
        givingWay givesWay: () -> Bool = { false }
    ) -> Report {
        var byteCount: UInt64 = 0
        let finding = Fact { () throws(Unknowable) in
            try find(
                depth, in: AddressRanges(reserved), counting: &byteCount, givingWay: givesWay)
        }
        let described: Fact<LiveSystem>
        switch finding {
        case .known(.image(let image)): described = describe(image, beside: live)
        case .known(.nothing): described = .unknown(because: "nothing is loaded")
        case .known(.broken(let reason)), .unknown(let reason):
            described = .unknown(because: reason)
        }
        let undescribed = described.map { live.ram.subtracting($0.ram) }.value ?? AddressRanges()
        // Blocks that cannot be asked count as online: rather reported as missing than missed.
        let offline = (try? MemoryBlocks.offline(in: undescribed, below: root)) ?? AddressRanges()
        return Report(
            finding: finding, described: described, offline: offline, byteCount: byteCount)
    }

    /// Finds the image in memory; again if it was replaced meanwhile.
    private mutating func find(
        _ depth: Depth, in reserved: AddressRanges, counting byteCount: inout UInt64,
        givingWay givesWay: () -> Bool
    ) throws(Unknowable) -> Finding {
        // Not `??`: it would widen the type of the error.
        let layout = if let known = self.layout { known } else { try KernelLayout(of: root) }
        self.layout = layout
        // A load while the image was read makes nonsense of what was seen; three in a row during
        // three readings is somebody loading for ever.
        for _ in 0..<3 {
            let (finding, count) = try Kcore.observe(below: root) {
                (kcore) throws(Unknowable) -> (Finding?, UInt64) in
                let finding = try look(
                    depth, at: kcore, in: reserved, laidOut: layout, givingWay: givesWay)
                return (finding, kcore.byteCount)
            }
            byteCount += count
            if let finding { return finding }
        }
        throw Unknowable("the crash image keeps changing: another program is loading it")
    }

    /// Reads the image once; `nil` where it was replaced meanwhile.
    private func look(
        _ depth: Depth, at kcore: Kcore, in reserved: AddressRanges,
        laidOut layout: KernelLayout, givingWay givesWay: () -> Bool
    ) throws(Unknowable) -> Finding? {
        guard let kimage = try Kimage.loaded(in: kcore, laidOut: layout, within: reserved)
        else { return .nothing }
        var reading = ImageReading(
            kimage, in: kcore, within: reserved, on: architecture, known: digest)
        let outcome = try reading.run(hashing: depth == .thorough, givingWay: givesWay)
        let again = try Kimage.loaded(in: kcore, laidOut: layout, within: reserved)
        guard again == kimage else { return nil }
        return switch outcome {
        case .understood(let image): .image(image)
        case .broken(let reason): .broken(because: reason)
        }
    }

    /// Says which of the machine's RAM and CPUs an image describes.
    private func describe(_ image: ResidentImage, beside live: LiveSystem) -> Fact<LiveSystem> {
        ProcessorNotes.read(of: live.cpus, below: root).map { notes in
            let said = CoreDescription(of: image.header.core, kernelNote: notes.kernelNote)
            return LiveSystem(
                ram: LiveView.withoutLegacyMemory(said.ram, on: architecture),
                cpus: notes.cpus(at: said.cpuNotes))
        }
    }
}
