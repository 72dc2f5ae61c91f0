// SPDX-License-Identifier: Apache-2.0

/// All that is known of the machine and its crash kernel at one moment.
///
/// It holds what was seen and no conclusions; `Verdict` says what it means.
package struct Observation: Equatable {
    /// The architecture the kernel runs on.
    package var architecture = Architecture.current
    /// The machine as it is now.
    package var live: Fact<LiveSystem>
    /// Where the CPUs of that machine leave their registers.
    package var notes = Fact<ProcessorNotes>.unknown(because: "no CPU was asked")
    /// What the firmware says of that machine, once a patch needs it.
    var firmware = Fact<FirmwareDescription>.unknown(because: "the firmware was not asked")
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
    /// How the real machine differs from the one that the image describes.
    package var coverage: Fact<Coverage>
    /// How the machine of a moment later will differ from what the image describes, if that shows
    /// already: RAM that is about to be put online, or about to leave.
    package var ahead: Ahead?
    /// Whether the kernel updates the image itself; `nil` if it has no such feature.
    package var keepsUp: Bool?
    /// The memory that ACPI can add or has added.
    package var hotplugMemory = HotplugMemory(isPossible: false, isPresent: false)
    /// The machine for which this program loaded the image; `nil` if it did not.
    package var remembered: LiveSystem?
    /// Whether an image must be there: it was, and no administrator unloaded it.
    package var expectsImage = false
    /// How long every look has found the image stale, in microseconds.
    package var staleFor: UInt64 = 0
    /// How long a kernel that updates the image itself may leave something out, in microseconds.
    package var grace: UInt64 = 0

    /// The reserved range that an image is loaded into; `nil` if there is none.
    ///
    /// A second one is for memory that devices reach, and lies below (kernel/crash_reserve.c,
    /// `reserve_crashkernel_low`).
    var crashRange: AddressRange? { reserved.value?.max { $0.start < $1.start } }

    /// What the capture kernel's command line lacks on this machine, as far as it is known.
    package var lacks: [CaptureNeed.Lack] {
        guard let text = image?.commandLine.value else { return [] }
        return CaptureNeed.lacking(in: text, on: hotplugMemory)
    }

    /// The image that was found and understood.
    package var image: ResidentImage? { finding.value?.image }

    /// The part of it that judgement needs.
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
    /// The part of it that judgement needs.
    fileprivate var fact: Facts.Image {
        switch self {
        case .nothing: .nothing
        case .broken(let reason): .broken(because: reason)
        case .image(let image): .readable(isDamaged: image.integrity == .mismatch)
        }
    }
}

extension Observation {
    /// The share of a dump that a crash right now would lose, or a moment later if that shows already.
    var loss: Double {
        guard let live = live.value, let coverage = ahead?.coverage ?? coverage.value else {
            return 0
        }
        return coverage.loss(
            on: live, lacksParameter: lacks.contains { $0.urgency == .now })
    }
}
