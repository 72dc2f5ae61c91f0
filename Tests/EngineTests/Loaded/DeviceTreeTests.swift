// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Flattened device trees: what is read, and what is refused.
@Suite struct DeviceTreeTests {
    private static let kept = AddressRange(start: 0x2000_0000, end: 0x2001_0000)
    private static var whole: SyntheticDeviceTree {
        SyntheticDeviceTree(
            commandLine: "quiet nr_cpus=1", initrd: 0x2800_0000, cpus: [[0, 1], [8, 9]],
            reservations: [kept, AddressRange(start: 0x1000, end: 0x1003)])
    }

    @Test(arguments: [16, 17, 18] as [UInt32]) func readsNodesAndProperties(version: UInt32) throws
    {
        var synthetic = DeviceTreeTests.whole
        synthetic.version = version
        let bytes = synthetic.bytes
        let tree = try DeviceTree(bytes + [1, 2, 3])
        #expect(tree.reservations == synthetic.reservations)
        #expect(tree.root.name.isEmpty && tree.root.children.map(\.name) == ["cpus", "chosen"])
        let chosen = try #require(tree.root.child("chosen"))
        #expect(chosen["linux,initrd-start"]?.number == 0x2800_0000 && chosen["reg"] == nil)
        let line = try #require(chosen["bootargs"])
        #expect(line.text == "quiet nr_cpus=1")
        #expect(Array(bytes[line.place..<line.place + line.value.count]) == line.value)
        let core = try #require(tree.root.child("cpus")?.child("PowerPC,POWER9"))
        #expect(core["ibm,ppc-interrupt-server#s"]?.words == [0, 1])
        #expect(core["reg"]?.number == 0 && core["reg"]?.text == nil)
    }

    @Test func refusesWhatIsNone() throws {
        let whole = DeviceTreeTests.whole.bytes
        for length in whole.indices {
            let flaw = failure { () throws(DeviceTree.Flaw) in
                try DeviceTree(Array(whole[..<length]))
            }
            #expect(flaw == (length < 28 ? .noTree : .short), "cut at \(length)")
        }
        var old = DeviceTreeTests.whole
        old.version = 15
        #expect(throws: DeviceTree.Flaw.noTree) { try DeviceTree(old.bytes) }
        // A property before the first node, and an end within one.
        let start = 40 + 3 * 16
        for token in [3, 9, 2, 5] as [UInt32] {
            var bytes = whole
            bytes.replaceSubrange(start..<start + 4, with: Array(bigEndian: token))
            #expect(throws: DeviceTree.Flaw.malformed(at: start)) { try DeviceTree(bytes) }
        }
    }

    @Test func nodesDoNotLieTooDeep() {
        var synthetic = DeviceTreeTests.whole
        for depth in 1...70 {
            synthetic.root = SyntheticDeviceTree.Node(name: "", children: [synthetic.root])
            // The deepest before were the cores, two below the root.
            #expect(((try? DeviceTree(synthetic.bytes)) != nil) == (depth + 3 <= 64))
        }
    }

    /// Noise is never read beyond its end.
    @Test func survivesNoise() {
        var generator = Repeatable(11)
        let whole = DeviceTreeTests.whole.bytes
        var read = 0
        for _ in 0..<3000 {
            let bytes = whole.flipped(3, using: &generator)
            if let tree = try? DeviceTree(bytes) {
                read += 1
                #expect(tree.root.children.count <= bytes.count)
            }
        }
        #expect(read > 100 && read < 3000)
    }
}

/// Does what must fail, and returns its error; `nil` where it does not fail.
private func failure<Value>(
    _ attempt: () throws(DeviceTree.Flaw) -> Value
) -> DeviceTree.Flaw? {
    do throws(DeviceTree.Flaw) {
        _ = try attempt()
        return nil
    } catch {
        return error
    }
}
