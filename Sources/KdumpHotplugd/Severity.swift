// SPDX-License-Identifier: Apache-2.0

/// How bad the state is, in the words and exit codes of monitoring plugins.
enum Severity: String, Codable, CaseIterable {
    /// A crash now would leave a complete dump.
    case ok = "OK"
    /// The same, but somebody should do something.
    case warning = "WARNING"
    /// A crash now would leave no dump or an incomplete one.
    case critical = "CRITICAL"
    /// It cannot be determined.
    case unknown = "UNKNOWN"

    /// The exit code of `--check`, by the convention of monitoring plugins.
    var exitCode: Int32 {
        switch self {
        case .ok: 0
        case .warning: 1
        case .critical: 2
        case .unknown: 3
        }
    }
}
