// SPDX-License-Identifier: Apache-2.0

/// Why a guest could not do what a test asked of it; the text is what a failed test prints.
package enum GuestError: Error, CustomStringConvertible {
    /// A program on this machine failed: image building, QEMU.
    case tool(String)
    /// The guest did not answer in time.
    case timedOut(String)
    /// QEMU ended, with how it did and the last that was said.
    case ended(String)
    /// A command in the guest ended with a status other than 0.
    case failed(command: String, status: Int, output: String)
    /// QEMU or the guest refused to boot, or to plug something in or out.
    case refused(String)
    /// What arrived is not what the protocol allows.
    case garbled(String)
    /// The capture kernel reported that it has no dump.
    case noDump(String)

    package var description: String {
        switch self {
        case .tool(let text), .refused(let text), .garbled(let text), .noDump(let text):
            text
        case .timedOut(let what):
            "timed out: \(what)"
        case .ended(let console):
            "the guest ended: \(console)"
        case .failed(let command, let status, let output):
            "exit status \(status) of `\(command)`:\n\(output)"
        }
    }
}
