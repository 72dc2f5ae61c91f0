// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The file of shell assignments that configures a kdump service, and what the families have in
/// common in reading it.
struct ConfigurationFile {
    /// Its path.
    let path: String
    private let assignments: ShellAssignments

    /// Reads a file; a missing one sets nothing.
    ///
    /// - Throws: An obstacle if the file cannot be read or contains unsupported shell code.
    init(
        _ path: String, below root: SystemRoot, vocabulary: Set<String>,
        already: [String: String] = [:]
    ) throws(Obstacle) {
        self.path = path
        var bytes: [UInt8] = []
        do throws(SystemError) {
            bytes = try root.bytes(of: path)
        } catch  where error.errno != ENOENT {
            throw .unreadableConfiguration(
                path: path, because: SystemError.words(for: error.errno))
        } catch {
            // The file is missing: like the distributions' tools, use the defaults.
        }
        do throws(ShellAssignments.Flaw) {
            assignments = try ShellAssignments(bytes, vocabulary: vocabulary, already: already)
        } catch {
            throw .foreignConfiguration(path: path, line: error.line, what: error.what)
        }
    }

    /// The value of a variable; empty if it is not set.
    subscript(name: String) -> String { assignments[name] }

    /// Options of kexec(8) that say how an image is loaded, and not which one.
    ///
    /// A reload is one `kexec_file_load` whatever they say; the image is the same.
    private static let harmless: Set<Substring> = [
        "-s", "--kexec-file-syscall", "-c", "--kexec-syscall", "-a", "--kexec-syscall-auto",
        "-d", "--debug", "--args-linux", "--elf32-core-headers", "--elf64-core-headers",
        "--dt-no-old-root",
    ]

    /// Makes sure that a variable holds no option of kexec(8) that a reload would have to follow.
    ///
    /// - Throws: An obstacle for the first such option.
    func refuseOptions(in name: String) throws(Obstacle) {
        let options = self[name].split { " \t\n".contains($0) }
        if let option = options.first(where: { !ConfigurationFile.harmless.contains($0) }) {
            throw .foreignOption(path: path, variable: name, option: String(option))
        }
    }
}

/// What the families need to know from the running kernel.
extension SystemRoot {
    /// The release of the running kernel, as `uname -r` prints it.
    ///
    /// - Throws: An obstacle if it cannot be read.
    func kernelRelease() throws(Obstacle) -> String {
        let file = "/proc/sys/kernel/osrelease"
        guard let release = try? line(of: file), !release.isEmpty else {
            throw .unreadableConfiguration(path: path(file), because: "it names no kernel")
        }
        return String(release)
    }

    /// The command line of the running kernel.
    var kernelCommandLine: Fact<String> {
        guard let line = try? line(of: "/proc/cmdline") else {
            return .unknown(because: "\(path("/proc/cmdline")) cannot be read")
        }
        return .known(String(line))
    }

    /// The number that `/proc/cpuinfo` gives for a key of the first processor it names, or `nil`.
    func firstProcessor(_ key: String) -> String? {
        guard let text = head(of: "/proc/cpuinfo") else { return nil }
        let first = text.split(separator: "\n\n").first ?? ""
        for line in first.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let name = parts.first, let value = parts.last,
                name.filter({ $0 != "\t" }) == key
            else { continue }
            return value.split(separator: " ").first.map(String.init)
        }
        return nil
    }
}
