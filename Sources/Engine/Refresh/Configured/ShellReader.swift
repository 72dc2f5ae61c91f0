// SPDX-License-Identifier: Apache-2.0

/// Reads shell assignments byte by byte; see `ShellAssignments` for what and why.
///
/// It follows POSIX.1-2017, Shell Command Language, sections 2.2 (quoting), 2.3 (tokens) and 2.6
/// (expansion), as far as dash and bash agree; what they treat differently is refused.
struct ShellReader {
    typealias Flaw = ShellAssignments.Flaw

    private let bytes: [UInt8]
    private let vocabulary: Set<String>
    private var index = 0
    private var line = 1
    private var values: [String: String]
    /// How many more bytes all values may have together: `A=$A$A` doubles with each line.
    private var budget = 1 << 20

    /// Creates a reader of bytes that are UTF-8 without zeros.
    init(_ bytes: [UInt8], vocabulary: Set<String>, already: [String: String]) {
        self.bytes = bytes
        self.vocabulary = vocabulary
        values = already
    }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }
    private func flaw(_ what: String) -> Flaw { Flaw(line: line, what: what) }

    /// Reads all of it.
    ///
    /// - Throws: The first `Flaw`.
    mutating func readFile() throws(Flaw) -> [String: String] {
        while true {
            skipBlanks()
            switch next {
            case nil:
                return values
            case UInt8(ascii: "\n"):
                index += 1
                line += 1
            case UInt8(ascii: "#"):
                while let byte = next, byte != UInt8(ascii: "\n") { index += 1 }
            default:
                try readCommand()
            }
        }
    }

    /// Skips spaces, tabs and continued lines.
    private mutating func skipBlanks() {
        while let byte = next {
            if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
                index += 1
            } else if isContinued {
                skipContinuation()
            } else {
                return
            }
        }
    }

    private var isContinued: Bool {
        index + 1 < bytes.count && bytes[index] == UInt8(ascii: "\\")
            && bytes[index + 1] == UInt8(ascii: "\n")
    }

    private mutating func skipContinuation() {
        index += 2
        line += 1
    }

    /// Reads assignments up to the end of a command.
    private mutating func readCommand() throws(Flaw) {
        let start = index
        var name = readName()
        let isExport = name == "export" && (next == UInt8(ascii: " ") || next == UInt8(ascii: "\t"))
        if !isExport { index = start }
        repeat {
            skipBlanks()
            name = readName()
            guard !name.isEmpty else { throw flaw("a command") }
            if next == UInt8(ascii: "=") {
                index += 1
                try assign(try readWord(exported: isExport), to: name)
            } else if !isExport || !isAtWordsEnd {
                throw flaw(isAtWordsEnd ? "the command \(name)" : "a word that sets no variable")
            }
        } while try !takeCommandsEnd()
    }

    private mutating func assign(_ value: [UInt8], to name: String) throws(Flaw) {
        guard !ShellAssignments.shellsOwn.contains(name), !name.hasPrefix("BASH") else {
            throw flaw("the shell's own variable \(name)")
        }
        budget -= value.count
        guard budget >= 0 else { throw flaw("values of more than 1 MiB") }
        values[name] = String(decoding: value, as: UTF8.self)
    }

    /// Reads the name of a variable; empty if none begins here.
    private mutating func readName() -> String {
        let start = index
        while let byte = next, byte.isNameByte, index > start || !byte.isDigit { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private var isAtWordsEnd: Bool { next.map { " \t\n;".utf8.contains($0) } ?? true }

    /// Reads the end of a command, and returns whether there was one.
    private mutating func takeCommandsEnd() throws(Flaw) -> Bool {
        skipBlanks()
        switch next {
        case nil, UInt8(ascii: "\n"), UInt8(ascii: "#"):
            return true
        case UInt8(ascii: ";"):
            index += 1
            return true
        default:
            return false
        }
    }

    /// Reads a value up to the first byte that cannot belong to it.
    ///
    /// After `export`, some shells split words and expand file names; whatever they would change is
    /// refused.
    private mutating func readWord(exported: Bool) throws(Flaw) -> [UInt8] {
        var word: [UInt8] = []
        while let byte = next, !isAtWordsEnd {
            switch byte {
            case UInt8(ascii: "'"):
                try readSingleQuoted(into: &word)
            case UInt8(ascii: "\""):
                try readDoubleQuoted(into: &word)
            case UInt8(ascii: "\\"):
                try readEscape(into: &word)
            case UInt8(ascii: "$") where !exported:
                try readExpansion(into: &word)
            case UInt8(ascii: "~") where word.last.map { ":=".utf8.contains($0) } ?? true:
                throw flaw("a ~ for a home directory")
            case _ where "`&|<>()".utf8.contains(byte),
                _ where exported && "$*?[]{}~".utf8.contains(byte):
                throw flaw("an unquoted \(Character(UnicodeScalar(byte)))")
            default:
                word.append(byte)
                index += 1
            }
        }
        return word
    }

    private mutating func readSingleQuoted(into word: inout [UInt8]) throws(Flaw) {
        let start = line
        index += 1
        while let byte = next {
            index += 1
            if byte == UInt8(ascii: "'") { return }
            if byte == UInt8(ascii: "\n") { line += 1 }
            word.append(byte)
        }
        throw Flaw(line: start, what: "an unclosed quote")
    }

    private mutating func readDoubleQuoted(into word: inout [UInt8]) throws(Flaw) {
        let start = line
        index += 1
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return
            case UInt8(ascii: "\\"):
                // It is an escape only before these; otherwise it stands for itself.
                if index + 1 < bytes.count, "$`\"\\\n".utf8.contains(bytes[index + 1]) {
                    try readEscape(into: &word)
                } else {
                    word.append(byte)
                    index += 1
                }
            case UInt8(ascii: "$"):
                try readExpansion(into: &word)
            case UInt8(ascii: "`"):
                throw flaw("a command substitution")
            default:
                if byte == UInt8(ascii: "\n") { line += 1 }
                word.append(byte)
                index += 1
            }
        }
        throw Flaw(line: start, what: "an unclosed quote")
    }

    /// Reads a backslash and the character that it quotes.
    private mutating func readEscape(into word: inout [UInt8]) throws(Flaw) {
        guard !isContinued else { return skipContinuation() }
        guard index + 1 < bytes.count else { throw flaw("a backslash at the end of the file") }
        word.append(bytes[index + 1])
        index += 2
    }

    /// Reads `$NAME`, `${NAME}` or `${NAME:-default}`.
    private mutating func readExpansion(into word: inout [UInt8]) throws(Flaw) {
        index += 1
        let isBraced = next == UInt8(ascii: "{")
        if isBraced { index += 1 }
        let name = readName()
        guard !name.isEmpty else {
            throw flaw(next == UInt8(ascii: "(") ? "a command substitution" : "a $ without a name")
        }
        // A shell joins the lines before it looks for the end of the name.
        guard !isContinued else { throw flaw("a name that is continued on the next line") }
        guard let value = values[name] ?? (vocabulary.contains(name) ? "" : nil) else {
            throw flaw("the variable \(name), which is not set in this file")
        }
        var text = Array(value.utf8)
        if isBraced {
            let other = try readDefault()
            if let other, text.isEmpty { text = other }
        }
        guard text.count <= budget - word.count else {
            throw flaw("values of more than 1 MiB")
        }
        word += text
    }

    /// Reads what follows a name in braces; `nil` if nothing does.
    private mutating func readDefault() throws(Flaw) -> [UInt8]? {
        var text: [UInt8]?
        if bytes[index...].starts(with: ":-".utf8) {
            index += 2
            text = []
            // Plain words only: shells differ on quotes in here.
            while let byte = next, byte.isNameByte || " ./=,:+@%-".utf8.contains(byte) {
                text?.append(byte)
                index += 1
            }
        }
        guard next == UInt8(ascii: "}") else { throw flaw("a ${ } with more than a plain default") }
        index += 1
        return text
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { "0123456789".utf8.contains(self) }
    fileprivate var isNameByte: Bool {
        isDigit || self == UInt8(ascii: "_")
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20)
    }
}
