// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The operator's settings: from the command line, else from the environment, which the unit reads
/// from `/etc/default/kdump-hotplugd`.
struct Settings: Equatable {
    /// What a reload loads; `nil` if the operator has not set it.
    let source: ImageSource?
    /// Whether to patch where that is possible.
    let patches: Bool
    /// How long after the last look to look again without any event, in seconds; 0: never.
    let scrub: UInt64
    /// How long without an event a burst ends, in microseconds.
    let settle: UInt64

    /// Why settings are rejected: one sentence that names the setting.
    struct Flaw: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    /// The environment variables, one for each option.
    enum Variable: String, CaseIterable {
        case kernel = "KDUMP_HOTPLUGD_KERNEL"
        case initrd = "KDUMP_HOTPLUGD_INITRD"
        case commandLine = "KDUMP_HOTPLUGD_COMMAND_LINE"
        case noPatch = "KDUMP_HOTPLUGD_NO_PATCH"
        case settle = "KDUMP_HOTPLUGD_SETTLE"
        case scrub = "KDUMP_HOTPLUGD_SCRUB"

        /// The value; an empty variable counts as not set.
        ///
        /// The corresponding C function is `getenv`.
        var value: String? {
            guard let value = unsafe getenv(rawValue).map({ unsafe String(cString: $0) }) else {
                return nil
            }
            return value.isEmpty ? nil : value
        }
    }

    /// The longest settle time, in milliseconds: for a minute the image may be stale.
    private static let longestSettle: UInt64 = 60_000
    /// How often to look without an event: damage is found within minutes, and a look costs
    /// milliseconds.
    static let usualScrub: UInt64 = 300
    /// The longest time without a look, in seconds: a day.
    private static let longestScrub: UInt64 = 86_400

    /// Combines options and environment; an option wins.
    ///
    /// - Throws: A `Flaw` for settings that contradict each other or are out of range.
    init(
        kernel: String?, initrd: String?, commandLine: String?, settle: String?,
        scrub: String?, noPatch: Bool = false,
        environment: (Variable) -> String? = { $0.value }
    ) throws(Flaw) {
        let kernel = kernel ?? environment(.kernel)
        let initrd = initrd ?? environment(.initrd)
        let commandLine = commandLine ?? environment(.commandLine)
        let isOff = try Settings.isYes(environment(.noPatch))
        patches = !(noPatch || isOff)
        let milliseconds = try Settings.number(
            settle ?? environment(.settle), "settle time", "milliseconds",
            atMost: Settings.longestSettle)
        self.settle = milliseconds.map { $0 * 1_000 } ?? Looks.defaultQuiet
        let seconds = try Settings.number(
            scrub ?? environment(.scrub), "scrub time", "seconds", atMost: Settings.longestScrub)
        self.scrub = seconds ?? Settings.usualScrub
        guard let kernel else {
            if let initrd {
                throw Flaw(description: "the initrd \(initrd) is set without a kernel: set both")
            }
            if commandLine != nil {
                throw Flaw(description: "the command line is set without a kernel: set both")
            }
            source = nil
            return
        }
        source = ImageSource(kernel: kernel, initrd: initrd, commandLine: commandLine)
    }

    private static func isYes(_ text: String?) throws(Flaw) -> Bool {
        switch text {
        case nil, "0": return false
        case "1": return true
        case .some(let text):
            throw Flaw(description: "KDUMP_HOTPLUGD_NO_PATCH must be 0 or 1, not \(text)")
        }
    }

    private static func number(
        _ text: String?, _ name: String, _ unit: String, atMost most: UInt64
    ) throws(Flaw) -> UInt64? {
        guard let text else { return nil }
        guard let number = UInt64(text), number <= most else {
            throw Flaw(
                description: "the \(name) must be 0 to \(most) \(unit), not \(text)")
        }
        return number
    }
}
