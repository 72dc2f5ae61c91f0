// SPDX-License-Identifier: Apache-2.0

/// The parameters of a kernel's command line, as the kernel splits it.
///
/// Double quotes hold a parameter with blanks together (lib/cmdline.c, `next_arg`). What
/// they mean is others' to know.
package struct KernelParameters: Equatable {
    /// One parameter.
    struct Parameter: Equatable {
        /// As it stands on the line.
        let text: String
        /// Without its quotes.
        let bare: String

        /// What stands before the first `=`.
        var name: Substring { bare.prefix { $0 != "=" } }
        /// What stands behind it; `nil` where there is none.
        var value: Substring? {
            bare.firstIndex(of: "=").map { bare[bare.index(after: $0)...] }
        }
    }

    /// In their order.
    var parameters: [Parameter]

    /// Whether the last quote ends; a shell would not take a line in which it does not.
    let isClosed: Bool

    /// Splits a line.
    package init(_ line: String) {
        parameters = []
        var text = ""
        var isQuoted = false
        for character in line {
            if character == "\"" { isQuoted.toggle() }
            if !isQuoted && " \t\n".contains(character) {
                if !text.isEmpty { parameters.append(KernelParameters.parameter(text)) }
                text = ""
            } else {
                text.append(character)
            }
        }
        isClosed = !isQuoted
        if !text.isEmpty { parameters.append(KernelParameters.parameter(text)) }
    }

    /// Splits a line; `nil` where a quote does not end.
    init?(closed line: String) {
        self.init(line)
        guard isClosed else { return nil }
    }

    private static func parameter(_ text: String) -> Parameter {
        Parameter(text: text, bare: text.filter { $0 != "\"" })
    }

    /// The line again, with one blank between two parameters.
    package var line: String { parameters.map(\.text).joined(separator: " ") }

    /// Takes out the parameters with one of these names, whatever their values.
    package mutating func remove(named names: Set<Substring>) {
        parameters.removeAll { names.contains($0.name) }
    }
}
