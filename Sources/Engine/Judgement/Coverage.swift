// SPDX-License-Identifier: Apache-2.0

/// How an image's picture of the machine differs from the machine.
///
/// *Missing* is there but not in the picture: lost from the dump. *Phantom* is in the picture but
/// gone: the capture kernel may touch memory that is not there.
package struct Coverage: Hashable, Codable {
    /// RAM a dump would lose.
    package let missingMemory: AddressRanges
    /// RAM a dump would look for in vain.
    package let phantomMemory: AddressRanges
    /// CPUs a dump would lose.
    package let missingCPUs: NumberSet
    /// CPUs a dump would list although they are gone.
    package let phantomCPUs: NumberSet

    /// Compares the machine as it is with the one that an image describes.
    ///
    /// RAM that is `offline` need not be in the picture: it holds nothing.
    package init(
        live: LiveSystem, described: LiveSystem, offline: AddressRanges = AddressRanges()
    ) {
        missingMemory = live.ram.subtracting(described.ram).subtracting(offline)
        phantomMemory = described.ram.subtracting(live.ram)
        missingCPUs = live.cpus.subtracting(described.cpus)
        phantomCPUs = described.cpus.subtracting(live.cpus)
    }

    /// How much of `ram` a dump would hold, in percent, cut: 100 only where nothing is missing.
    package func percentCovered(of ram: AddressRanges) -> Int {
        let total = ram.byteCount
        guard total > 0 else { return 100 }
        let covered = total - min(total, missingMemory.byteCount)
        // No machine has 2^57 bytes, so this does not overflow where `ram` is real.
        let (hundredfold, overflow) = covered.multipliedReportingOverflow(by: 100)
        return Int(overflow ? covered / (total / 100) : hundredfold / total)
    }

    /// Whether picture and machine agree.
    package var isExact: Bool { !losesAnything && phantomMemory.isEmpty && phantomCPUs.isEmpty }

    /// Whether a dump would lose memory or CPUs.
    package var losesAnything: Bool { !missingMemory.isEmpty || !missingCPUs.isEmpty }
}
