// SPDX-License-Identifier: Apache-2.0

/// Looks at what is really loaded.
///
/// Every other tool believes somebody: the last load, a flag in sysfs. This one reads the image from
/// reserved memory. It takes no lock of the kernel's, writes nothing, and decides nothing: what it
/// finds is a value. It reads some hundred KiB; to compute the digest of the whole image is work of
/// its own, which it only prepares.
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

    /// What an audit has found.
    struct Report {
        /// What is loaded, or why nobody can tell.
        var finding: Fact<Finding>
        /// The machine as the image describes it; unknown where the image is.
        let described: Fact<LiveSystem>
        /// RAM that is not in use and that the image does not describe.
        let offline: AddressRanges
        /// How many bytes of memory were read.
        var byteCount: UInt64
        /// Whether something moved meanwhile, so that another audit may know more.
        let isMoving: Bool
        /// Whether the host encrypts its memory, so that the image looks like noise.
        var isEncrypted = false
        /// What computes the digest of the image again, where it has one.
        let work: DigestWork?
    }

    private let root: SystemRoot
    private let architecture: Architecture
    private let digest: PurgatoryDigest?
    /// What must be known of the kernel; the caller may keep it for the boot.
    private(set) var layout: KernelLayout?

    /// Creates an auditor of the machine below `root`.
    ///
    /// With a `layout` that was found earlier in the same boot, and the `digest` of an image that was
    /// found whole, it spares itself the searches for them.
    init(
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
    /// `notes` are where its CPUs leave their registers.
    mutating func run(
        reserved: [AddressRange], live: LiveSystem, notes: Fact<ProcessorNotes>
    ) -> Report {
        var byteCount: UInt64 = 0
        var work: DigestWork?
        var (isMoving, isEncrypted) = (false, false)
        let finding: Fact<Finding>
        do throws(Unknowable) {
            (finding, work) = try find(in: AddressRanges(reserved), counting: &byteCount)
        } catch {
            finding = .unknown(because: error.reason)
            (isMoving, isEncrypted) = (error.mayPass, error.isEncrypted)
        }
        let described: Fact<LiveSystem>
        switch finding {
        case .known(.image(let image)):
            described = describe(image, by: notes, within: reserved)
        case .known(.nothing): described = .unknown(because: "nothing is loaded")
        case .known(.broken(let reason)), .unknown(let reason):
            described = .unknown(because: reason)
        }
        let undescribed = described.map { live.ram.subtracting($0.ram) }.value ?? AddressRanges()
        // Blocks that cannot be asked count as online: rather reported as missing than missed.
        let blocks = undescribed.isEmpty ? nil : try? MemoryBlocks(below: root)
        let offline = (try? blocks?.offline(in: undescribed)) ?? AddressRanges()
        return Report(
            finding: finding, described: described, offline: offline, byteCount: byteCount,
            isMoving: isMoving, isEncrypted: isEncrypted, work: work)
    }

    /// Finds the image in memory.
    private mutating func find(
        in reserved: AddressRanges, counting byteCount: inout UInt64
    ) throws(Unknowable) -> (Fact<Finding>, DigestWork?) {
        // Not `??`: it would widen the type of the error.
        let layout = if let known = self.layout { known } else { try KernelLayout(of: root) }
        self.layout = layout
        let (finding, work, count) = try Kcore.observe(below: root) {
            (kcore) throws(Unknowable) -> (Finding, DigestWork?, UInt64) in
            let (finding, work) = try look(at: kcore, in: reserved, laidOut: layout)
            return (finding, work, kcore.byteCount)
        }
        byteCount += count
        return (.known(finding), work)
    }

    /// Reads the image.
    private func look(
        at kcore: Kcore, in reserved: AddressRanges, laidOut layout: KernelLayout
    ) throws(Unknowable) -> (Finding, DigestWork?) {
        guard let kimage = try Kimage.loaded(in: kcore, laidOut: layout, within: reserved)
        else { return (.nothing, nil) }
        var reading = ImageReading(
            kimage, in: kcore, within: reserved, on: architecture, known: digest)
        let outcome = try reading.run()
        guard
            try reading.identity?.isLoaded(in: kcore, laidOut: layout, within: reserved) == true
        else { throw Kimage.replaced }
        return switch outcome {
        case .understood(let image, let work): (.image(image), work)
        case .broken(let reason): (.broken(because: reason), nil)
        }
    }

    /// Says which of the machine's RAM and CPUs an image describes.
    private func describe(
        _ image: ResidentImage, by notes: Fact<ProcessorNotes>, within reserved: [AddressRange]
    ) -> Fact<LiveSystem> {
        var ignored = architecture.ramOutsideDumps
        if architecture.mayListLowReserve {
            let low = reserved.filter { !$0.holds(image.kimage.entry) }
            ignored = ignored.union(AddressRanges(low))
        }
        return notes.map { notes in
            let said = CoreDescription(of: image.header.core, kernelNote: notes.kernelNote)
            return LiveSystem(
                ram: said.ram.subtracting(ignored),
                cpus: notes.cpus(at: said.cpuNotes))
        }
    }
}

extension Audit.Report {
    /// Of a machine on which nothing is loaded.
    static var nothing: Audit.Report {
        Audit.Report(
            finding: .known(.nothing), described: .unknown(because: "nothing is loaded"),
            offline: AddressRanges(), byteCount: 0, isMoving: false, work: nil)
    }

    /// Of an image that cannot be looked at.
    static func unknown(because reason: String, isMoving: Bool = false) -> Audit.Report {
        Audit.Report(
            finding: .unknown(because: reason), described: .unknown(because: reason),
            offline: AddressRanges(), byteCount: 0, isMoving: isMoving, work: nil)
    }

    /// Computes the digest of the image that was found, unless `isOvertaken` by something more urgent;
    /// returns whether it was.
    ///
    /// - Throws: Why memory cannot be read, or that the image was replaced meanwhile.
    mutating func computeDigest(
        below root: SystemRoot, laidOut layout: KernelLayout, within reserved: AddressRanges,
        isOvertaken: () -> Bool
    ) throws(Unknowable) -> Bool {
        guard var work, case .known(.image(let image)) = finding else { return false }
        while let piece = work.next {
            if isOvertaken() {
                let reason = "newer events came before the digest was computed"
                finding = .known(.image(image.with(image.digest, .unknown(because: reason))))
                return true
            }
            let bytes = try Tries.settled { () throws(Unknowable) in
                try Kcore.observe(below: root) { kcore throws(Unknowable) in
                    try kcore.bytes(Int(piece.byteCount), at: piece.start)
                }
            }
            byteCount += UInt64(bytes.count)
            try work.take(bytes)
        }
        let isSame = try Tries.settled { () throws(Unknowable) in
            try Kcore.observe(below: root) { kcore throws(Unknowable) in
                try work.identity.isLoaded(in: kcore, laidOut: layout, within: reserved)
            }
        }
        guard isSame else { throw Kimage.replaced }
        guard let outcome = work.outcome else { return false }
        let parts = work.roles.parts(
            listed: image.kimage.segments.map(\.range), covered: outcome.digest?.regions ?? [])
        finding = .known(.image(image.with(outcome.digest, outcome.integrity, parts: parts)))
        return false
    }
}
