// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The tests' end of the root shell in a guest; the other end is `image/agent`.
///
/// Every command carries a random marker, which its answer must begin and end with: no output,
/// and nothing left over from a command that timed out, can be taken for an answer.
struct Agent {
    /// What the guest's own time limit and the transfer may take beyond the command's.
    private static let grace: Duration = .seconds(20)

    let wire: Wire

    /// The firmware of some machines has cleared a screen there before, and ended no line.
    func waitUntilReady(by deadline: Deadline) throws(GuestError) {
        while try !wire.line(by: deadline).hasSuffix("guest-agent ready") {}
    }

    func run(_ command: String, timeout: Duration) throws(GuestError) -> (Int, [UInt8]) {
        let request = request(command, timeout: timeout)
        let deadline = Deadline(in: timeout + Self.grace)
        try wire.send(request.text, by: deadline)
        while true {
            let words = try wire.line(by: deadline).split(separator: " ")
            guard words.count == 3, words[0] == request.name, let status = Int(words[1]),
                let size = Int(words[2])
            else { continue }
            let output = try wire.bytes(size, by: deadline)
            guard try wire.line(by: deadline) == "\(request.name) end" else {
                throw .garbled("the output of `\(command)` arrived damaged")
            }
            return (status, output)
        }
    }

    /// Starts a command that will never answer: the one that crashes the guest.
    func start(_ command: String) throws(GuestError) {
        let request = request(command, timeout: Machine.patience)
        try wire.send(request.text, by: Deadline(in: Self.grace))
    }

    private func request(
        _ command: String, timeout: Duration
    ) -> (name: String, text: String) {
        let name = "m" + String(UInt64.random(in: .min ... .max), radix: 16)
        // For printf's %b; a space at the end would be lost.
        let encoded = command.replacingOccurrences(of: "\\", with: "\\\\")
            .replacingOccurrences(of: "\n", with: "\\n")
            .replacingOccurrences(of: " ", with: "\\x20")
        return (name, "\(name) \(max(1, Int(timeout.inSeconds))) \(encoded)\n")
    }
}
