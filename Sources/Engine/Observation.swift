// SPDX-License-Identifier: Apache-2.0

/// All that is known of the machine and its crash kernel at one moment.
///
/// It holds what was seen and nothing that was made of it; `Verdict` says what it means.
package struct Observation: Equatable {
    /// The architecture the kernel runs on.
    package var architecture = Architecture.current
    /// The machine as it is now.
    package var live: Fact<LiveSystem>
    /// Where the CPUs of that machine leave their registers.
    package var notes = Fact<ProcessorNotes>.unknown(because: "no CPU was asked")
    /// Whether the kernel lists RAM or a CPU for which it has no device: not yet, or no more.
    package var isUnsettled = false
    /// The crash kernel's reserved ranges; known and empty without `crashkernel=`.
    package var reserved: Fact<[AddressRange]>
    /// What the kernel says without being locked.
    package var support: KernelSupport
    /// What reserved memory holds.
    package var finding: Fact<Audit.Finding>
    /// Whether the host encrypts its memory, so that the image looks like noise.
    package var isEncrypted = false
    /// How the machine that the image describes differs from the real one.
    package var coverage: Fact<Coverage>
    /// Whether the kernel keeps the image up; `nil` where it has no such feature.
    package var keepsUp: Bool?
    /// The memory that ACPI can add, or has.
    package var hotplugMemory = HotplugMemory(isPossible: false, isPresent: false)
    /// The machine for which this program loaded the image; `nil` where it did not.
    package var remembered: LiveSystem?
    /// Whether an image must be there: it was, and what removed it was no administrator's wish.
    package var expectsImage = false
    /// For how long the image has been seen to be stale, in microseconds.
    package var staleFor: UInt64 = 0
    /// For how long a kernel that keeps the image up may leave it stale, in microseconds.
    package var grace: UInt64 = 0

    /// What the capture kernel's command line lacks on this machine, as far as it is known.
    package var lacks: [CaptureNeed.Lack] {
        guard let text = image?.commandLine.value else { return [] }
        return CaptureNeed.lacking(in: text, on: hotplugMemory)
    }

    /// The image that was found and understood.
    package var image: ResidentImage? { finding.value?.image }

    /// What judgement needs of it.
    package var facts: Facts {
        let remembered = remembered.flatMap { described in
            live.value.map { Coverage(live: $0, described: described) }
        }
        return Facts(
            imagesGoStale: architecture.imagesGoStale,
            isReserved: reserved.value?.isEmpty != true || support.firmwareDump != nil,
            isLoaded: support.isLoaded, isDumpedByFirmware: support.firmwareDump == .registered,
            isEncrypted: isEncrypted, expectsImage: expectsImage,
            image: finding.map(\.fact), coverage: coverage, rememberedCoverage: remembered,
            lacks: lacks, keepsUp: keepsUp, staleFor: staleFor, grace: grace)
    }
}

extension Audit.Finding {
    /// What judgement needs of it.
    fileprivate var fact: Facts.Image {
        switch self {
        case .nothing: .nothing
        case .broken(let reason): .broken(because: reason)
        case .image(let image): .readable(isDamaged: image.integrity == .mismatch)
        }
    }
}
