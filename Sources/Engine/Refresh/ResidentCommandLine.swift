// SPDX-License-Identifier: Apache-2.0

/// The command line of the image that is loaded, as far as it may be used to load another.
///
/// It is what the administrator loaded, and so the best there is. What a loader put in for its own
/// image alone, the addresses of its parts, is taken out: the next loader puts in its own.
enum ResidentCommandLine {
    /// Parameters that name a place in one image: the core header, and the keys of encrypted dump
    /// targets (arch/x86/kernel/kexec-bzimage64.c, `setup_cmdline`; kexec-tools' crashdump-x86.c).
    private static let ofOneImage = ["elfcorehdr=", "dmcryptkeys="]

    /// Returns the part of `text` that is the administrator's.
    static func administrators(_ text: String) -> String {
        text.split(separator: " ")
            .filter { word in !ofOneImage.contains { word.hasPrefix($0) } }
            .joined(separator: " ")
    }

    /// Returns `text` with the parameters of `needs` behind it.
    static func completing(_ text: String, with needs: [CaptureNeed]) -> String {
        ([text] + needs.map(\.parameter)).filter { !$0.isEmpty }.joined(separator: " ")
    }
}
