// SPDX-License-Identifier: Apache-2.0

/// What a verdict is made from: an observation, as far as judgement needs it.
///
/// It knows nothing of files, kernels or images; an `Observation` makes it of what was seen.
package struct Facts {
    /// What the resident image is like.
    package enum Image {
        /// Nothing is loaded.
        case nothing
        /// It cannot work; why.
        case broken(because: String)
        /// It can be read; whether its digest is known not to fit its contents.
        case readable(isDamaged: Bool)
    }

    /// Whether images of this architecture go stale.
    package var imagesGoStale = true
    /// Whether `crashkernel=` reserved memory; `false` only where that is known.
    package var isReserved = true
    /// Whether the kernel says that an image is loaded; `nil` where it has no kexec.
    package var isLoaded: Bool? = true
    /// Whether the firmware makes the dump, so that there is no crash kernel to keep up.
    package var isDumpedByFirmware = false
    /// Whether the host encrypts its memory, so that the image looks like noise.
    package var isEncrypted = false
    /// Whether an image must be there: it was, and what removed it was no administrator's wish.
    package var expectsImage = false
    /// The image.
    package var image = Fact.known(Image.readable(isDamaged: false))
    /// How the machine that the image describes differs from the real one.
    package var coverage: Fact<Coverage>
    /// How the machine that this program loaded the image for differs from the real one; `nil`
    /// where either is not known.
    package var rememberedCoverage: Coverage?
    /// What the capture kernel's command line lacks on this machine.
    package var lacks: [CaptureNeed.Lack] = []
    /// Whether the kernel keeps the image up; `nil` where it has no such feature.
    package var keepsUp: Bool?
    /// For how long the image has been seen to be stale, in microseconds.
    package var staleFor: UInt64 = 0
    /// For how long a kernel that keeps the image up may leave it stale, in microseconds.
    package var grace: UInt64 = 0
}
