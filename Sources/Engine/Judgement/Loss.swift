// SPDX-License-Identifier: Apache-2.0

/// How much of a dump is worth nothing, or missing, if the machine crashes with a stale image; pure.
///
/// A share between 0 and 1, to weigh being stale against loading: ``Loads`` does. It is an estimate
/// and decides nothing about what is right.
extension Coverage {
    /// The weights of what is missing, beside its share of all memory.
    ///
    /// Half of the dump for memory and CPUs: new memory is where the kernel puts its next page
    /// tables, stacks and slabs, without which a debugger does not get far, and the crash may be on
    /// the new CPU. Which blocks the kernel keeps for user memory is not asked, because most machines
    /// keep none. A tenth for what is gone: the dump has all there is, but whoever writes it may
    /// stumble over what there is not.
    private static let weights = (missing: 0.5, phantom: 0.1)

    /// The share of a dump that a crash would lose on the machine `live`.
    ///
    /// If the image `lacksParameter`, its capture kernel loses memory that the image describes.
    package func loss(on live: LiveSystem, lacksParameter: Bool = false) -> Double {
        guard flaw == nil else { return 1 }
        let all = Double(max(1, live.ram.byteCount))
        var loss = Double(missingMemory.byteCount + phantomMemory.byteCount) / all
        if losesAnything || lacksParameter { loss += Coverage.weights.missing }
        if !phantomMemory.isEmpty || !phantomCPUs.isEmpty { loss += Coverage.weights.phantom }
        return min(1, loss)
    }
}
