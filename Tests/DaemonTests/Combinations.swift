// SPDX-License-Identifier: Apache-2.0

@testable import Engine
@testable import KdumpHotplugd

/// Every combination of what can be observed, what can prevent a refresh and how one can end.
///
/// All parts vary independently, so that none is left out because it seemed impossible.
enum Combinations {
    static let machine = LiveSystem(
        ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 30)]), cpus: NumberSet([0, 1]))
    /// Half the RAM and one of the CPUs of ``machine``.
    static let half = LiveSystem(
        ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 29)]), cpus: NumberSet([0]))
    static var lossy: Coverage { Coverage(live: machine, described: half) }

    /// All is covered, and yet a crash on one of the CPUs of ``machine`` could not be captured.
    static var stranding: Coverage {
        Coverage(live: machine, described: machine, unbootable: NumberSet([1]))
    }

    static var verdicts: [Verdict] {
        [
            .unsupported, .nothingReserved, .nothingLoaded, .lost, .neverStale,
            .leftToFirmware, .current,
            .waiting(lossy), .stale(lossy), .stale(Coverage(live: half, described: machine)),
            .stale(Coverage(live: machine, described: other)), .stale(stranding),
            .broken(because: "broken"),
            .missingParameter([.leaveHotAddedMemoryAlone]), .trusted(because: "hidden"),
            .unverified(because: "hidden"),
        ]
    }

    static var ways: [Engine.Ways] {
        [nil, PatchObstacle.switchedOff].flatMap { patch in
            [nil, Obstacle.noSource].map { Engine.Ways(patch: patch, reload: $0) }
        } + [Engine.Ways(patch: nil, reload: nil, didNotHelp: true)]
    }

    /// Every verdict with everything else that can be seen.
    static func looks() throws -> [Engine.Look] {
        var all = [observation()]
        func vary<Value>(_ part: WritableKeyPath<Observation, Value>, _ values: [Value]) {
            all = all.flatMap { seen in
                values.map { value in
                    var seen = seen
                    seen[keyPath: part] = value
                    return seen
                }
            }
        }
        vary(
            \.finding,
            [
                .known(.nothing), .unknown(because: "hidden"),
                .known(.image(try image(commandLine: "nr_cpus=1"))),
                .known(
                    .image(
                        try image(
                            commandLine: "nr_cpus=1 acpi_no_memhotplug", bootsOn: NumberSet([0])))),
            ])
        vary(\.support, [true, false].map { KernelSupport(isLoaded: $0) })
        vary(\.keepsUp, [true, false, nil])
        vary(\.live, [.known(machine), .unknown(because: "hidden")])
        vary(\.remembered, [half, nil])
        return all.flatMap { seen in verdicts.map { look($0, seen) } }
    }

    /// Every way in which a reconciliation that leaves this `look` can end.
    static func outcomes(_ look: Engine.Look) -> [Engine.Reconciliation] {
        let patch = Engine.Refresh(method: .patch, window: 879)
        let reload = Engine.Refresh(method: .reload, window: 812_345)
        return ends.flatMap { end in
            [[], [patch, reload]].map { refreshes in
                Engine.Reconciliation(
                    look: look, firstVerdict: look.verdict, refreshes: refreshes,
                    unpatched: refreshes.isEmpty ? nil : .failedBefore, end: end)
            }
        }
    }

    static func look(
        _ verdict: Verdict, _ observation: Observation = observation()
    ) -> Engine.Look {
        Engine.Look(observation: observation, verdict: verdict, byteCount: 0, microseconds: 0)
    }

    static func observation(isLoaded: Bool = true) -> Observation {
        Observation(
            architecture: .x86, live: .known(machine), reserved: .known([]),
            support: KernelSupport(isLoaded: isLoaded), finding: .unknown(because: "hidden"),
            coverage: .unknown(because: "hidden"),
            hotplugMemory: HotplugMemory(isPossible: true, isPresent: false))
    }

    private static let error = SystemError("kexec_file_load", errno: 22)
    private static var ends: [Engine.End] {
        [
            .settled, .blocked(.noSource), .blocked(.beingWritten(.initrd, path: "/i")), .uncured,
            .busy, .held(LoadLock.Holder(path: "/lock", pid: 7)), .refused(error),
            .unprotected(error), .restored("\(error)"), .stillMoving, .changing(because: "x"),
            .postponed(until: 1), .resting(until: 1),
        ]
    }
    private static let other = LiveSystem(
        ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 29)]), cpus: NumberSet([7]))

    /// An image of which only the command line matters, and on which CPUs its kernel boots.
    private static func image(
        commandLine: String, bootsOn processors: NumberSet? = nil
    ) throws -> ResidentImage {
        let place = AddressRange(start: 0x1000, end: 0x2000)
        let byte = Field(bitOffset: 0, bitSize: 8)
        let word = Field(bitOffset: 8, bitSize: 16)
        let layout = Kimage.Layout(
            byteCount: 3, entry: word, segmentCount: byte, controlPage: word, type: byte,
            isFromFiles: byte, hotplugSupport: nil, headerUpdate: nil,
            segments: Kimage.Layout.SegmentLayout(
                offset: 0, stride: 1, capacity: 1, bufferSize: byte, address: word,
                memorySize: byte))
        let kimage = try Kimage(
            [1, 0, 0x10], laidOut: layout, within: AddressRanges([place]))
        var header = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57)
        (header[16], header[32], header[54]) = (4, 64, 56)
        return ResidentImage(
            kimage: kimage,
            parts: [ResidentImage.Part(range: place, role: .bootParameters, isListed: true)],
            header: ResidentImage.Header(range: place, core: try CoreHeader(header)), digest: nil,
            integrity: .verified, commandLine: .known(commandLine),
            identity: ImageIdentity(kimage: kimage, place: 0, bytes: []),
            bootProcessors: processors)
    }
}
