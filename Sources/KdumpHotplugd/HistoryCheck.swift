// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// `--history`: prints what the daemon has kept of what happened; it looks at nothing else.
enum HistoryCheck {
    /// Prints the history below a root, and returns the exit code: 0, or 1 if it is there and cannot be
    /// understood.
    static func run(below root: SystemRoot, asJSON: Bool) -> Int32 {
        let bytes = StateDirectory(below: root).read(History.file)
        guard let history = bytes.map({ ReportJSON.value(History.self, from: $0) }) ?? History()
        else {
            Command.complain(
                "/run/kdump-hotplugd/\(History.file) cannot be understood: another version has"
                    + " written it, or it is damaged")
            return EXIT_FAILURE
        }
        if asJSON {
            print(String(decoding: ReportJSON.bytes(of: history, pretty: true), as: UTF8.self))
        } else {
            print(HistoryText.lines(of: history).joined(separator: "\n"))
        }
        return EXIT_SUCCESS
    }
}
