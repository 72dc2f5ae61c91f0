// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Another program that reads what the daemon writes.
enum Tool {
    /// Where the programs of Debian packages lie, which are unpacked and not installed.
    static func unpacked(_ packages: String...) throws -> String {
        let (status, said) = try run(repository(".ci/unpacked"), packages, environment: nil)
        let place = said.split(separator: "\n").last.map(String.init) ?? ""
        guard status == 0, place.hasPrefix("/") else { throw Missing(what: said) }
        return place
    }

    /// Packages that cannot be had.
    struct Missing: Error { let what: String }

    /// Runs a program with something on its standard input; `said` has both of its streams.
    static func run(
        _ program: String, _ arguments: [String], on input: String = "",
        environment: [String: String]? = ["PATH": "/usr/bin:/bin"]
    ) throws -> (status: Int32, said: String) {
        let (process, written, output) = (Process(), Pipe(), Pipe())
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        // Not this process's: under umockdev-wrapper its library would be loaded into the program.
        let own = ProcessInfo.processInfo.environment.filter { $0.key != "LD_PRELOAD" }
        process.environment = environment ?? own
        process.standardInput = written
        process.standardOutput = output
        process.standardError = output
        try process.run()
        // A pipe holds 64 KiB, and the program may speak before it has read everything.
        let writer = Thread {
            try? written.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try? written.fileHandleForWriting.close()
        }
        writer.start()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: said, as: UTF8.self))
    }
}
