// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Runs a program of this machine to its end; each line of its output goes to `onLine` as it comes.
///
/// Returns the standard output; what is said on standard error is part of the error, if it fails.
@discardableResult
func run(
    _ program: String, _ arguments: [String], onLine: (String) -> Void = { _ in }
) throws(GuestError) -> String {
    let process = Process()
    let output = Pipe()
    let complaints = FileManager.default.temporaryDirectory
        .appending(path: "kdump-guest-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: complaints) }
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    do {
        try Data().write(to: complaints)
        process.standardError = try FileHandle(forWritingTo: complaints)
        try process.run()
    } catch {
        throw .tool("\(program): \(error)")
    }
    var all = ""
    var line = ""
    while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
        let text = String(decoding: data, as: UTF8.self)
        all += text
        var lines = (line + text).split(separator: "\n", omittingEmptySubsequences: false)
        line = lines.popLast().map(String.init) ?? ""
        for line in lines { onLine(String(line)) }
    }
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        let text = (try? String(contentsOf: complaints, encoding: .utf8)) ?? ""
        throw .tool("\(program) \(arguments.joined(separator: " ")): \(all)\(text)")
    }
    return all
}
