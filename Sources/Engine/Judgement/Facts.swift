// SPDX-License-Identifier: Apache-2.0

/// What a verdict is based on: the part of an observation that judgement needs.
///
/// It knows nothing of files, kernels or images; `Observation` makes it from what was seen.
package struct Facts {
    /// What the resident image is like.
    package enum Image {
        /// Nothing is loaded.
        case nothing
        /// It cannot work; the reason.
        case broken(because: String)
        /// It can be read; whether its digest is known not to match its contents.
        case readable(isDamaged: Bool)
    }

    /// Whether images of this architecture go stale.
    package var imagesGoStale = true
    /// Whether `crashkernel=` reserved memory; `false` only if that is known.
    package var isReserved = true
    /// Whether the kernel says that an image is loaded; `nil` if it has no kexec.
    package var isLoaded: Bool? = true
    /// Whether the firmware makes the dump, so that there is no crash kernel to update.
    package var isDumpedByFirmware = false
    /// Whether the host encrypts its memory, so that the image looks like noise.
    package var isEncrypted = false
    /// Whether an image must be there: it was, and no administrator unloaded it.
    package var expectsImage = false
    /// The image.
    package var image = Fact.known(Image.readable(isDamaged: false))
    /// How the real machine differs from the one that the image describes.
    package var coverage: Fact<Coverage>
    /// How the real machine differs from the one for which this program loaded the image; `nil` if
    /// either is unknown.
    package var rememberedCoverage: Coverage?
    /// What the capture kernel's command line lacks on this machine.
    package var lacks: [CaptureNeed.Lack] = []
    /// Whether the kernel updates the image itself; `nil` if it has no such feature.
    package var keepsUp: Bool?
    /// How long every look has found the image stale, in microseconds.
    package var staleFor: UInt64 = 0
    /// How long a kernel that updates the image itself may leave something out, in microseconds.
    package var grace: UInt64 = 0
}
