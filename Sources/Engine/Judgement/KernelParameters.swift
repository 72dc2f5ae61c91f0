// SPDX-License-Identifier: Apache-2.0

/// The parameters of a kernel's command line, as the kernel splits it.
///
/// Double quotes keep a parameter with spaces together (lib/cmdline.c, `next_arg`). This type
/// splits a line and does not interpret the parameters.
package struct KernelParameters: Equatable {
    /// One parameter.
    struct Parameter: Equatable {
        /// As written on the line.
        let text: String
        /// Without its quotes.
        let bare: String

        /// The part before the first `=`.
        var name: Substring { bare[..<(equals ?? bare.endIndex)] }
        /// The part after it; `nil` if there is none.
        var value: Substring? { equals.map { bare[bare.utf8.index(after: $0)...] } }

        /// Found as a byte: with an accent after it `=` would be another character.
        private var equals: String.Index? { bare.utf8.firstIndex(of: UInt8(ascii: "=")) }
    }

    /// The parameters in their order.
    var parameters: [Parameter]

    /// Whether the last quote is closed; a shell rejects a line in which it is not.
    let isClosed: Bool

    /// Splits a line.
    package init(_ line: String) {
        // As bytes, like the kernel: each look splits the line.
        let bytes = Array(line.utf8)
        var isQuoted = false
        parameters = bytes.split { byte in
            if byte == KernelParameters.quote { isQuoted.toggle() }
            return !isQuoted && (byte == 0x20 || byte == 0x09 || byte == 0x0A)
        }.map(KernelParameters.parameter)
        isClosed = !isQuoted
    }

    private static let quote = UInt8(ascii: "\"")

    /// Splits a line; `nil` if a quote is not closed.
    init?(closed line: String) {
        self.init(line)
        guard isClosed else { return nil }
    }

    private static func parameter(_ bytes: ArraySlice<UInt8>) -> Parameter {
        let text = String(decoding: bytes, as: UTF8.self)
        guard bytes.contains(quote) else { return Parameter(text: text, bare: text) }
        let bare = bytes.filter { $0 != quote }
        return Parameter(text: text, bare: String(decoding: bare, as: UTF8.self))
    }

    /// The line again, with one space between two parameters.
    package var line: String { parameters.map(\.text).joined(separator: " ") }

    /// Removes the parameters with one of these names, whatever their values.
    package mutating func remove(named names: Set<Substring>) {
        parameters.removeAll { names.contains($0.name) }
    }
}
