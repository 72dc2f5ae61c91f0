// SPDX-License-Identifier: Apache-2.0

/// The variables that a file of shell assignments sets, such as `/etc/default/kdump-tools`.
///
/// The distributions' tools let a shell read their configuration. This program runs no shell: it
/// reads the part of the language in which such files are written, and refuses a file that has
/// anything else. It never reads one part of a file and skips the rest.
///
/// It understands comments, `NAME=value` (several on a line, separated by spaces or `;`), `export`,
/// the three kinds of quoting, continued lines, `$NAME`, `${NAME}` and `${NAME:-default}`. What the
/// variables mean is not its business.
package struct ShellAssignments: Equatable {
    /// The values of the variables after the last line.
    let values: [String: String]

    /// Why a file is refused.
    package struct Flaw: Error, Equatable {
        /// The line, counted from 1.
        package let line: Int
        /// What is there, beginning with an article.
        package let what: String
    }

    /// The largest file, in bytes: the templates of the distributions are under 8 KiB.
    private static let largestFile = 64 << 10

    /// Variables that a shell sets or uses itself: setting one has side effects.
    static let shellsOwn: Set<String> = [
        "_", "COLUMNS", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS",
        "HISTCMD", "HOSTNAME", "HOSTTYPE", "IFS", "LINENO", "LINES", "MACHTYPE", "OLDPWD", "OPTARG",
        "OPTERR", "OPTIND", "OSTYPE", "PATH", "PIPESTATUS", "PPID", "PS1", "PS2", "PS4", "PWD",
        "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "UID",
    ]

    /// Reads a file; the variables in `already` have a value before.
    ///
    /// `vocabulary` names the variables that are empty until they are set. The value of any other
    /// one would depend on the environment of the reader, so using it is refused.
    /// - Throws: A `Flaw` for anything that is not supported.
    package init(
        _ bytes: [UInt8], vocabulary: Set<String>, already: [String: String] = [:]
    ) throws(Flaw) {
        guard bytes.count <= ShellAssignments.largestFile else {
            throw Flaw(line: 1, what: "too much text (over 64 KiB)")
        }
        guard !bytes.contains(0) else {
            throw Flaw(line: 1, what: "a zero byte")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Flaw(line: 1, what: "text that is not UTF-8")
        }
        var reader = ShellReader(bytes, vocabulary: vocabulary, already: already)
        values = try reader.readFile()
    }

    /// The value of a variable; empty if the file does not set it, as in a shell.
    package subscript(name: String) -> String { values[name] ?? "" }
}
