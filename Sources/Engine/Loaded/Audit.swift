// SPDX-License-Identifier: Apache-2.0

/// Looks at what is really loaded.
///
/// Other tools trust the last load or a flag in sysfs. This one reads the image from reserved
/// memory. It takes no lock, writes nothing and decides nothing: it returns what it finds as a
/// value. It reads some hundred KiB. Computing the digest of the whole image is separate work,
/// which it only prepares.
package struct Audit {
    /// What an audit has found in reserved memory.
    package enum Finding: Equatable {
        /// Nothing is loaded.
        case nothing
        /// An image that was fully understood.
        case image(ResidentImage)
        /// An image that cannot work; the reason.
        case broken(because: String)

        /// The image, if there is one that was understood.
        package var image: ResidentImage? {
            if case .image(let image) = self { image } else { nil }
        }
    }

    /// What an audit has found.
    struct Report {
        /// What is loaded, or why that is unknown.
        var finding: Fact<Finding>
        /// The machine as the image describes it; unknown if the image is.
        let described: Fact<LiveSystem>
        /// RAM that is not in use and that the image does not describe.
        let offline: AddressRanges
        /// CPUs of the machine on which the capture kernel could not boot.
        var unbootable = NumberSet()
        /// How many bytes of memory were read.
        var byteCount: UInt64
        /// Whether something moved meanwhile, so that another audit may find more.
        let isMoving: Bool
        /// Whether the host encrypts its memory, so that the image looks like noise.
        var isEncrypted = false
        /// What tells the kernel's list of the image from that of another load; `nil` where it cannot be
        /// read.
        var list: String?
        /// The work of computing the digest of the image, if it has one.
        let work: DigestWork?
    }

    private let root: SystemRoot
    private let architecture: Architecture
    private let digest: PurgatoryDigest?
    /// Where the kernel keeps its crash image; the caller may save it until the next boot.
    private(set) var layout: KernelLayout?
    /// The kernel's list of the image, also where the image itself cannot be read; `nil` if the list
    /// cannot.
    private(set) var kimage: Kimage?

    /// Creates an auditor of the machine below `root`.
    ///
    /// A `layout` that was found earlier in the same boot, and the `digest` of an image that was
    /// found whole, save it the search for them.
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
        // A block whose state cannot be read counts as online: better a false alarm than a missed
        // loss.
        var offline = AddressRanges()
        do throws(SystemError) {
            if !undescribed.isEmpty, let blocks = try MemoryBlocks(below: root) {
                offline = try blocks.offline(in: undescribed)
            }
        } catch {
            isMoving = isMoving || error.mayPass
        }
        let bootable = finding.value?.image?.bootProcessors
        let unbootable = bootable.flatMap { notes.value?.cpus(outside: $0) }
        return Report(
            finding: finding, described: described, offline: offline,
            unbootable: unbootable ?? NumberSet(), byteCount: byteCount, isMoving: isMoving,
            isEncrypted: isEncrypted, work: work)
    }

    /// Finds the image in memory.
    private mutating func find(
        in reserved: AddressRanges, counting byteCount: inout UInt64
    ) throws(Unknowable) -> (Fact<Finding>, DigestWork?) {
        // Not `??`: it would widen the type of the error.
        let layout =
            if let known = self.layout { known } else {
                try KernelLayout(of: root, on: architecture, within: reserved)
            }
        self.layout = layout
        var kimage: Kimage?
        defer { self.kimage = kimage }
        let (finding, work, count) = try Kcore.observe(below: root) {
            (kcore) throws(Unknowable) -> (Finding, DigestWork?, UInt64) in
            kimage = try Kimage.loaded(in: kcore, laidOut: layout, within: reserved)
            guard let kimage else { return (.nothing, nil, kcore.byteCount) }
            let (finding, work) = try look(at: kimage, of: kcore, in: reserved, laidOut: layout)
            return (finding, work, kcore.byteCount)
        }
        byteCount += count
        return (.known(finding), work)
    }

    /// Reads the image.
    private func look(
        at kimage: Kimage, of kcore: Kcore, in reserved: AddressRanges,
        laidOut layout: KernelLayout
    ) throws(Unknowable) -> (Finding, DigestWork?) {
        var reading = ImageReading(
            kimage, in: kcore, within: reserved, on: architecture, known: digest)
        let outcome = try reading.run()
        guard
            try reading.identity?.isLoaded(in: kcore, laidOut: layout, within: reserved) == true
        else { throw Kimage.replaced }
        switch outcome {
        case .understood(var image, let work):
            if image.flaw == nil, let tree = image.tree {
                image.flaw = architecture.treeFlaw?(tree, root)
            }
            return (.image(image), work)
        case .broken(let reason):
            // It need not be the image that is loaded.
            guard !kimage.isFoundByContents else { throw Unknowable(reason) }
            return (.broken(because: reason), nil)
        }
    }

    /// Returns which RAM and CPUs an image describes.
    private func describe(
        _ image: ResidentImage, by notes: Fact<ProcessorNotes>, within reserved: [AddressRange]
    ) -> Fact<LiveSystem> {
        let ignored = architecture.unjudged(reserved: reserved, of: image.kimage.entry)
        return notes.map { notes in
            let core = CoreDescription(of: image.header.core, kernelNote: notes.kernelNote)
            return LiveSystem(
                ram: core.ram.subtracting(ignored), cpus: notes.cpus(at: core.cpuNotes))
        }
    }
}

extension Audit.Report {
    /// The report if nothing is loaded.
    static var nothing: Audit.Report {
        Audit.Report(
            finding: .known(.nothing), described: .unknown(because: "nothing is loaded"),
            offline: AddressRanges(), byteCount: 0, isMoving: false, work: nil)
    }

    /// The report on an image that cannot be read.
    static func unknown(because reason: String, isMoving: Bool = false) -> Audit.Report {
        Audit.Report(
            finding: .unknown(because: reason), described: .unknown(because: reason),
            offline: AddressRanges(), byteCount: 0, isMoving: isMoving, work: nil)
    }

    /// Computes the digest of the image that was found with `work`, which may have begun before.
    ///
    /// `beat` is called after each piece.
    /// - Throws: Why memory cannot be read, or that the image has been replaced.
    mutating func computeDigest(
        by work: inout DigestWork, below root: SystemRoot, laidOut layout: KernelLayout,
        within reserved: AddressRanges, tries: inout Tries, beat: () -> Void
    ) throws(Unknowable) {
        let before = work.byteCount
        do throws(Unknowable) {
            steps: while true {
                let step = try tries.settled { () throws(Unknowable) in
                    try work.step(below: root, laidOut: layout, within: reserved)
                }
                switch step {
                case .more: beat()
                case .done: break steps
                case .replaced: throw Kimage.replaced
                }
            }
        } catch {
            tries.spendDigest()
            throw error
        }
        byteCount += work.byteCount - before
        accept(work)
    }

    /// Takes over what is known now of the digest of the image that was found.
    mutating func accept(_ work: DigestWork) {
        guard case .known(.image(let image)) = finding, let outcome = work.outcome else { return }
        if image.kimage.isFoundByContents, outcome.integrity == .mismatch {
            finding = .unknown(
                because: "what looks like a crash image in reserved memory may be the remains of"
                    + " another one: its digest does not match")
            return
        }
        let parts = work.roles.parts(
            listed: image.kimage.segments.map(\.range), covered: outcome.digest?.regions ?? [])
        finding = .known(.image(image.with(outcome.digest, outcome.integrity, parts: parts)))
    }
}
