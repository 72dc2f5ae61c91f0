// SPDX-License-Identifier: Apache-2.0

/// What tells one build of a kernel from another; the same in its file and in memory.
///
/// Only x86's boot protocol has such sizes, and only its unpacking code names the release, so
/// ``X86SetupHeader`` alone makes one. It reads no file and no memory.
package struct KernelBuild: Hashable {
    /// The sizes that its header names, in bytes: of the whole, packed, and unpacked.
    let sizes: [UInt64]
    /// How many bytes of the file precede what is loaded.
    let head: UInt64
    /// Where in what is loaded the code begins that unpacks the kernel and that names its release.
    let unpacker: UInt64

    /// How much of the code that unpacks is searched: it has 100 to 230 KiB.
    static let reach: UInt64 = 256 << 10

    /// Finds the release, such as `6.1.0-10`, in the code that unpacks a kernel.
    ///
    /// It is the first word of a text from which the kernel's place is drawn: "6.1.0-10 (builder@host)
    /// …" (`build_str` of boot/compressed/kaslr.c). `nil` where there is none.
    static func release(in bytes: [UInt8]) -> String? {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        var word = 0
        for (place, byte) in bytes.enumerated() {
            if byte > UInt8(ascii: " ") && byte < 0x7F { continue }
            defer { word = place + 1 }
            guard byte == UInt8(ascii: " "), bytes.dropFirst(place + 1).first == UInt8(ascii: "("),
                word == 0 || bytes[word - 1] < UInt8(ascii: " "), digits.contains(bytes[word]),
                bytes[word..<place].contains(UInt8(ascii: "."))
            else { continue }
            return String(decoding: bytes[word..<place], as: UTF8.self)
        }
        return nil
    }
}
