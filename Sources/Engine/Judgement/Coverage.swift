// SPDX-License-Identifier: Apache-2.0

/// How the machine that an image describes differs from the real one.
///
/// *Missing* is what the machine has and the image does not list: the dump loses it. *Phantom* is
/// what the image lists and the machine no longer has: the capture kernel may touch memory that is
/// not there.
package struct Coverage: Hashable, Codable {
    /// RAM a dump would lose.
    package let missingMemory: AddressRanges
    /// RAM that the image lists although it is gone.
    package let phantomMemory: AddressRanges
    /// CPUs a dump would lose.
    package let missingCPUs: NumberSet
    /// CPUs that the image lists although they are gone.
    package let phantomCPUs: NumberSet
    /// CPUs on which the capture kernel could not boot: a crash on one of them leaves no dump at all.
    package let unbootableCPUs: NumberSet
    /// Why no crash at all leaves a dump; `nil` if there is no such reason.
    package let flaw: String?

    /// Compares the machine as it is with the one that an image describes.
    ///
    /// RAM that is `offline` need not be listed: it holds nothing. The capture kernel could not boot on
    /// the CPUs that are `unbootable`, and nowhere if there is a `flaw`.
    package init(
        live: LiveSystem, described: LiveSystem, offline: AddressRanges = AddressRanges(),
        unbootable: NumberSet = NumberSet(), flaw: String? = nil
    ) {
        missingMemory = live.ram.subtracting(described.ram).subtracting(offline)
        phantomMemory = described.ram.subtracting(live.ram)
        missingCPUs = live.cpus.subtracting(described.cpus)
        phantomCPUs = described.cpus.subtracting(live.cpus)
        unbootableCPUs = unbootable
        self.flaw = flaw
    }

    /// How much of `ram` a dump would hold, in percent, rounded down: 100 only if nothing is
    /// missing.
    package func percentCovered(of ram: AddressRanges) -> Int {
        let total = ram.byteCount
        guard total > 0 else { return 100 }
        let covered = total - min(total, missingMemory.byteCount)
        // No real machine has 2^57 bytes, so this overflows only on nonsense.
        let (hundredfold, overflow) = covered.multipliedReportingOverflow(by: 100)
        return Int(overflow ? covered / (total / 100) : hundredfold / total)
    }

    /// Whether the image describes the machine exactly.
    package var isExact: Bool { !losesAnything && phantomMemory.isEmpty && phantomCPUs.isEmpty }

    /// Whether a dump would lose memory or CPUs, or there might be none.
    package var losesAnything: Bool {
        !missingMemory.isEmpty || !missingCPUs.isEmpty || !unbootableCPUs.isEmpty || flaw != nil
    }
}
