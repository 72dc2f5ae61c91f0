// SPDX-License-Identifier: Apache-2.0

import Foundation

/// QEMU's machine protocol (QMP): commands to the machine itself, and what it tells unasked.
final class MachineProtocol {
    private static let answerTime = Machine.patience

    private let wire: Wire
    private var events: [Event] = []

    /// Something QEMU told unasked.
    struct Event {
        let name: String
        let data: [String: Any]

        var device: String? {
            data["device"] as? String ?? (data["info"] as? [String: Any])?["device"] as? String
        }
    }

    init(_ wire: Wire) {
        self.wire = wire
    }

    func greet() throws(GuestError) {
        _ = try message(by: Deadline(in: Self.answerTime))
        try execute("qmp_capabilities")
    }

    @discardableResult
    func execute(_ command: String, _ arguments: [String: Any] = [:]) throws(GuestError) -> Any {
        let request: [String: Any] = ["execute": command, "arguments": arguments]
        guard let data = try? JSONSerialization.data(withJSONObject: request) else {
            throw .garbled("no JSON in \(request)")
        }
        let deadline = Deadline(in: Self.answerTime)
        try wire.send(String(decoding: data, as: UTF8.self) + "\n", by: deadline)
        while true {
            let answer = try message(by: deadline)
            if let value = answer["return"] { return value }
            if let error = answer["error"] { throw .refused("\(command): \(error)") }
            keepEvent(answer)
        }
    }

    /// Waits for the first event that `wanted` accepts; earlier ones stay for others.
    func event(
        within time: Duration, _ wanted: (Event) -> Bool
    ) throws(GuestError) -> Event {
        let deadline = Deadline(in: time)
        while true {
            if let index = events.firstIndex(where: wanted) { return events.remove(at: index) }
            keepEvent(try message(by: deadline))
        }
    }

    private func keepEvent(_ message: [String: Any]) {
        guard let name = message["event"] as? String else { return }
        events.append(Event(name: name, data: message["data"] as? [String: Any] ?? [:]))
    }

    private func message(by deadline: Deadline) throws(GuestError) -> [String: Any] {
        let line = try wire.line(by: deadline)
        let object = try? JSONSerialization.jsonObject(with: Data(line.utf8))
        guard let message = object as? [String: Any] else { throw .garbled("QMP: \(line)") }
        return message
    }
}
