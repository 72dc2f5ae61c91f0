// SPDX-License-Identifier: Apache-2.0

/// The variables that a file of shell assignments sets, such as `/etc/default/kdump-tools`.
///
/// The distributions' tools let a shell read their configuration. This program starts no shell: it
/// reads the part of the language that such files are written in, and refuses a file that has
/// anything else. Never is a part of a file read and the rest skipped.
///
/// Read are comments, `NAME=value` (several on a line, separated by blanks or `;`), `export`,
/// the three ways of quoting, continued lines, `$NAME`, `${NAME}` and `${NAME:-default}`. It decides
/// nothing about what the variables mean.
package struct ShellAssignments: Equatable {
    /// What the variables hold after the last line.
    let values: [String: String]

    /// Why a file is refused.
    package struct Flaw: Error, Equatable {
        /// The line, counted from 1.
        package let line: Int
        /// What is there, beginning with an article.
        package let what: String
    }

    /// What a file may hold, in bytes: the templates of the distributions are under 8 KiB.
    private static let largestFile = 64 << 10

    /// Variables that a shell sets, or heeds, by itself: to set one does not just set it.
    static let shellsOwn: Set<String> = [
        "_", "COLUMNS", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS",
        "HISTCMD", "HOSTNAME", "HOSTTYPE", "IFS", "LINENO", "LINES", "MACHTYPE", "OLDPWD", "OPTARG",
        "OPTERR", "OPTIND", "OSTYPE", "PATH", "PIPESTATUS", "PPID", "PS1", "PS2", "PS4", "PWD",
        "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "UID",
    ]

    /// Reads a file that sets variables beside those that have a value `already`.
    ///
    /// `vocabulary` names the variables that are empty until they are set. What another one holds
    /// depends on the environment of whoever reads the file, so using it is refused.
    /// - Throws: A `Flaw` for what is not read here.
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

    /// The value of a variable; empty where the file does not set it, as in a shell.
    package subscript(name: String) -> String { values[name] ?? "" }
}
