// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// What the operator decided: from the command line, else from the environment that the unit fills
/// from `/etc/default/kdump-hotplugd`.
struct Settings: Equatable {
    /// What a reload loads; `nil` where none was named.
    let source: ImageSource?
    /// How long a burst of events must have been quiet, in microseconds.
    let settle: UInt64

    /// Why settings are refused: one sentence that names the setting.
    struct Flaw: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    /// The environment variables, each the twin of an option.
    enum Variable: String, CaseIterable {
        case kernel = "KDUMP_HOTPLUGD_KERNEL"
        case initrd = "KDUMP_HOTPLUGD_INITRD"
        case commandLine = "KDUMP_HOTPLUGD_COMMAND_LINE"
        case settle = "KDUMP_HOTPLUGD_SETTLE"

        /// What the process was started with; an empty variable counts as not set, except that an
        /// empty command line is one.
        ///
        /// The corresponding C function is `getenv`.
        var value: String? {
            guard let value = unsafe getenv(rawValue).map({ unsafe String(cString: $0) }) else {
                return nil
            }
            return value.isEmpty && self != .commandLine ? nil : value
        }
    }

    /// The longest time to wait for quiet, in milliseconds: one minute of not being covered.
    private static let longestSettle: UInt64 = 60_000

    /// Combines options with their twins in the environment; an option wins.
    ///
    /// - Throws: A `Flaw` for settings that contradict each other or say nothing sensible.
    init(
        kernel: String?, initrd: String?, commandLine: String?, settle: String?,
        environment: (Variable) -> String? = { $0.value }
    ) throws(Flaw) {
        let kernel = kernel ?? environment(.kernel)
        let initrd = initrd ?? environment(.initrd)
        let commandLine = commandLine ?? environment(.commandLine)
        self.settle = try Settings.microseconds(settle ?? environment(.settle))
        guard let kernel else {
            if let initrd {
                throw Flaw(description: "the initrd \(initrd) is set without a kernel: set both")
            }
            source = nil
            return
        }
        guard let commandLine else {
            throw Flaw(
                description: "the kernel \(kernel) is set without a command line: set"
                    + " --command-line or \(Variable.commandLine.rawValue), to nothing if need be")
        }
        source = ImageSource(kernel: kernel, initrd: initrd, commandLine: commandLine)
    }

    private static func microseconds(_ text: String?) throws(Flaw) -> UInt64 {
        guard let text else { return Burst.defaultQuiet }
        guard let milliseconds = UInt64(text), milliseconds <= longestSettle else {
            throw Flaw(
                description: "the settle time \(text) is not a number of milliseconds from 0 to"
                    + " \(longestSettle)")
        }
        return milliseconds * 1_000
    }
}
