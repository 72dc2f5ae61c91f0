// SPDX-License-Identifier: Apache-2.0

/// Finds out what the parts of a loaded image are from their contents.
///
/// `struct kimage` has addresses without meanings, and after a patch not even all addresses. The
/// rest follows from memory: the core header starts like one, purgatory holds the entry point and a
/// table of what its digest covers, and the boot parameters name the command line and the initrd.
struct ImageReading {
    /// The result of reading an image.
    enum Outcome {
        /// An image that was fully understood, and the work of computing its digest, if it has one.
        case understood(ResidentImage, DigestWork?)
        /// An image that can be read and cannot work; the reason.
        case broken(because: String)
    }

    let kcore: Kcore
    let kimage: Kimage
    let reserved: AddressRanges
    let architecture: Architecture
    /// The digest of the image as of an earlier look.
    let known: PurgatoryDigest?
    /// What tells the image from others; `nil` before it is read.
    private(set) var identity: ImageIdentity?
    /// The first bytes of each range that was read.
    private var heads: [AddressRange: [UInt8]] = [:]

    /// One page: more than is needed to recognise any part.
    private static let headSize: UInt64 = 4096

    /// Prepares to read the image that `kimage` lists, whose digest may be `known`.
    init(
        _ kimage: Kimage, in kcore: Kcore, within reserved: AddressRanges,
        on architecture: Architecture, known: PurgatoryDigest?
    ) {
        self.known = known
        self.kimage = kimage
        self.kcore = kcore
        self.reserved = reserved
        self.architecture = architecture
    }

    /// Reads the image.
    ///
    /// - Throws: Why memory cannot be read, or why its contents cannot be judged.
    mutating func run() throws(Unknowable) -> Outcome {
        let listed = kimage.segments.map(\.range)
        for range in listed { try look(at: range) }
        let residence = try architecture.residence?(kimage, kcore, reserved)
        let purgatory = try purgatory(of: residence)
        identity = purgatory.identity(of: kimage)
        for region in purgatory.regions { try look(at: region) }
        for part in residence?.parts ?? [] { try look(at: part) }
        let bootData = try bootData()
        try refuseToJudgeWhatIsHidden(purgatory, bootData?.values)
        if let flaw = bootData?.values.flaw ?? residence?.damage { return .broken(because: flaw) }
        let commandLine = commandLine(bootData?.values)
        let header: ResidentImage.Header
        switch try self.header(namedBy: commandLine.value, or: bootData?.values, among: listed) {
        case .understood(let found): header = found
        case .broken(let reason): return .broken(because: reason)
        }
        let findings = Findings(
            listed: listed, residence: residence, purgatory: purgatory, bootData: bootData,
            commandLine: commandLine, header: header)
        return outcome(of: findings)
    }

    /// What was found of an image, part by part.
    private struct Findings {
        let listed: [AddressRange]
        let residence: Residence?
        let purgatory: Purgatory
        let bootData: (range: AddressRange, values: Architecture.BootData)?
        let commandLine: Fact<String>
        let header: ResidentImage.Header

        /// What each part is for.
        var roles: Roles {
            Roles(
                header: header, purgatory: purgatory.range, bootData: bootData?.range,
                initrd: bootData?.values.initrd,
                targetKeys: commandLine.value.flatMap(ResidentCommandLine.targetKeys),
                residence: residence)
        }
    }

    /// Puts together what was found.
    private func outcome(of found: Findings) -> Outcome {
        let (purgatory, header, data) = (found.purgatory, found.header, found.bootData?.values)
        let mapping = architecture.headersAreDoubted ? kcore.mapping : nil
        let impossible = mapping?.flaw(of: header.core)
        let flaw = impossible ?? data?.spared.flatMap { header.flaw(where: $0) }
        // What a patch would cure is no damage.
        if let flaw, architecture.patching == nil { return .broken(because: flaw) }
        let roles = found.roles
        let hole = reserved.ranges.first { $0.holds(kimage.entry) }
        let leftOut = hole.flatMap { hole in
            architecture.patching?.leftOut?(roles, purgatory.regions, hole)
        }
        let edited = [header.range] + (leftOut ?? [])
        let glance = PurgatoryDigestCheck(
            purgatory: purgatory, kimage: kimage, architecture: architecture, roles: roles,
            edited: edited, known: known
        ).run()
        var image = ResidentImage(
            kimage: kimage,
            parts: roles.parts(listed: found.listed, covered: glance.digest?.regions ?? []),
            header: header, digest: glance.digest, integrity: glance.integrity,
            commandLine: found.commandLine, identity: purgatory.identity(of: kimage),
            origin: data?.origin, bootProcessors: data?.bootProcessors)
        (image.edited, image.tree, image.flaw) = (edited, data?.tree, flaw)
        (image.residence, image.mapping) = (found.residence, impossible == nil ? nil : mapping)
        return .understood(image, glance.work)
    }

    /// Reads purgatory, or what stands for it.
    private func purgatory(of residence: Residence?) throws(Unknowable) -> Purgatory {
        guard let residence else {
            return try Purgatory(of: kimage, in: kcore, within: reserved)
        }
        return try Purgatory(of: residence, in: kcore, within: reserved)
    }

    /// Reads the beginning of a range, once.
    private mutating func look(at range: AddressRange) throws(Unknowable) {
        guard heads[range] == nil else { return }
        let size = min(ImageReading.headSize, range.byteCount)
        heads[range] = try kcore.bytes(Int(size), at: range.start)
    }

    /// Makes sure that memory shows an image at all.
    ///
    /// It may be hidden in two ways: some kernels unmap it, which reads as zeros, and hosts with
    /// memory encryption read it with the wrong key, which gives noise. Neither is damage. On such a
    /// host a kernel that updates the core header also writes that with the wrong key: then the header
    /// alone can be read here, and is noise to the capture kernel (`arch_crash_handle_hotplug_event`
    /// does not share what it writes, as kernel/kexec_core.c, `kimage_load_crash_segment`, does).
    private func refuseToJudgeWhatIsHidden(
        _ purgatory: Purgatory, _ bootData: Architecture.BootData?
    ) throws(Unknowable) {
        if heads.values.allSatisfy({ head in head.allSatisfy { $0 == 0 } }) {
            throw Unknowable(
                "reserved memory reads as zeros: this kernel hides the loaded image from readers")
        }
        let isKnown = heads.values.contains { (try? CoreHeader.byteCount(prefix: $0)) != nil }
        guard bootData == nil, purgatory.tables.isEmpty else { return }
        guard isKnown else {
            throw Unknowable(
                "nothing in reserved memory is recognisable, as with memory that is encrypted",
                isEncrypted: true)
        }
        guard architecture.bootData == nil else {
            throw Unknowable(
                "only the core header in reserved memory is recognisable, as with memory that is"
                    + " encrypted and a header that the kernel has updated",
                isEncrypted: true)
        }
    }

    private func bootData() throws(Unknowable) -> (
        range: AddressRange, values: Architecture.BootData
    )? {
        guard let read = architecture.bootData else { return nil }
        for (range, head) in heads.sorted(by: { $0.key.start < $1.key.start }) {
            let segment = Architecture.Segment(range: range, head: head)
            if let values = try read(segment, kcore) { return (range, values) }
        }
        return nil
    }

    private func commandLine(_ bootData: Architecture.BootData?) -> Fact<String> {
        guard architecture.bootData != nil else {
            return .unknown(
                because: "where an image has its command line is not known on \(architecture.name)")
        }
        guard let bootData else {
            return .unknown(because: "the image has no boot parameters with a command line")
        }
        return Fact { () throws(Unknowable) in
            guard let place = reserved.ranges.first(where: { $0.holds(bootData.commandLine) })
            else { throw Unknowable("the command line lies outside reserved memory") }
            let room = min(bootData.longestCommandLine, place.end - bootData.commandLine)
            let bytes = try kcore.bytes(Int(room), at: bootData.commandLine)
            guard let end = bytes.firstIndex(of: 0) else {
                throw Unknowable("the command line is not terminated")
            }
            return String(decoding: bytes[..<end], as: UTF8.self)
        }
    }

    /// What was looked for, or why the image cannot work without it.
    private enum Search<Found> {
        case understood(Found)
        case broken(because: String)
    }

    /// Reads the core header that the capture kernel would use.
    private func header(
        namedBy commandLine: String?, or bootData: Architecture.BootData?,
        among listed: [AddressRange]
    ) throws(Unknowable) -> Search<ResidentImage.Header> {
        let named =
            bootData?.coreHeader.map { .some($0.start) }
            ?? commandLine.map { ResidentCommandLine.coreHeader(in: $0) }
        let beginning = listed.filter { range in
            heads[range].flatMap { try? CoreHeader.byteCount(prefix: $0) } != nil
        }
        let place: AddressRange?
        switch named {
        case .some(nil):
            return .broken(because: "its command line has no elfcorehdr=")
        case .some(.some(let address)):
            place = listed.first { $0.start == address }
        case .none:
            place = beginning.first
        }
        guard let place, let head = heads[place] else {
            let name = bootData?.coreHeader == nil ? "elfcorehdr=" : "linux,elfcorehdr"
            return .broken(because: "no segment is at the address of its \(name)")
        }
        // Any flaw means the same: the capture kernel cannot read the header either.
        let size = (try? CoreHeader.byteCount(prefix: head)) ?? 0
        let bytes = try kcore.bytes(min(size, Int(place.byteCount)), at: place.start)
        guard let core = try? CoreHeader(bytes) else {
            return .broken(because: "there is no core header at \(hexadecimal(place.start))")
        }
        return .understood(ResidentImage.Header(range: place, core: core))
    }
}

extension ResidentImage.Header {
    /// Why a capture kernel that only spares `spared` cannot use the header; `nil` if it can.
    ///
    /// It allocates from all of the other memory before it reads the header.
    fileprivate func flaw(where spared: AddressRanges) -> String? {
        let used = AddressRange(start: range.start, end: range.start + UInt64(core.byteCount))
        let lost = AddressRanges([used]).subtracting(spared).byteCount
        guard lost > 0 else { return nil }
        return "its device tree does not reserve the last \(ByteCount(lost)) of its core header,"
            + " which the capture kernel would overwrite"
    }
}
