// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Another program that reads what the daemon writes.
///
/// By the shell, as `FakeMachine` does it: Foundation's `Process` leaks, which these tests are also run
/// to find.
enum Tool {
    /// The program under test, as `swift build` makes it.
    static var daemon: String { repository(".build/debug/kdump-hotplugd") }

    /// Where the programs of Debian packages lie, which are unpacked and not installed.
    static func unpacked(_ packages: String...) throws -> String {
        let (status, said) = try run(repository(".ci/unpacked"), packages)
        let place = said.split(separator: "\n").last.map(String.init) ?? ""
        try #require(status == 0 && place.hasPrefix("/"), "\(said)")
        return place
    }

    /// Runs a program with something on its standard input; `said` has both of its streams.
    static func run(
        _ program: String, _ arguments: [String], on input: String = ""
    ) throws -> (status: Int32, said: String) {
        var template = Array("/tmp/kdump-hotplugd-tool-XXXXXX".utf8CString)
        let directory = String(cString: try #require(mkdtemp(&template)))
        defer { _ = system("rm -rf \(directory)") }
        try write(input, to: "\(directory)/input")
        let words = ([program] + arguments).map { "'\($0.replacing("'", with: "'\\''"))'" }
        // Under umockdev-wrapper its library would be loaded into the program.
        let status = system(
            "env -u LD_PRELOAD \(words.joined(separator: " "))"
                + " <\(directory)/input >\(directory)/output 2>&1")
        return ((status >> 8) & 0xFF, try read("\(directory)/output"))
    }

    private static func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        let bytes = Array(text.utf8)
        try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    private static func read(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 4_096))
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
