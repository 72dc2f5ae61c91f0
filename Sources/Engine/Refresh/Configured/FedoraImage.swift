// SPDX-License-Identifier: Apache-2.0

/// Which kernel and initrd the kdump-utils of Fedora and RHEL load: the places where they look, in
/// their order.
struct FedoraImage {
    /// The path of the kernel.
    let kernel: String
    /// The path of the initrd, which may be missing.
    let initrd: String

    private static let state = "/var/lib/kdump"
    /// Where systemd's boot stub says which image it started; the number is systemd's vendor GUID.
    private static let stub =
        "/sys/firmware/efi/efivars/StubImageIdentifier-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

    /// Looks for both.
    ///
    /// - Throws: An obstacle if there is no kernel.
    init(_ file: ConfigurationFile, below root: SystemRoot) throws(Obstacle) {
        let release = try FedoraImage.release(file, below: root)
        let names = FedoraImage.names(of: release, file, below: root)
        let directories = FedoraImage.directories(file, below: root)
        let candidates = directories.flatMap { directory in
            names.map { FedoraImage.squeezed("\(directory)/\($0)") }
        }
        guard let kernel = candidates.first(where: root.isFile) else {
            throw .noKernel(path: file.path, release: release)
        }
        self.kernel = kernel
        initrd = FedoraImage.initrd(beside: kernel, release, below: root)
    }

    /// The version: the configured one, else that of the running kernel, or instead of a debug
    /// kernel's the plain one if that is installed.
    private static func release(
        _ file: ConfigurationFile, below root: SystemRoot
    ) throws(Obstacle) -> String {
        let configured = file["KDUMP_KERNELVER"]
        guard configured.isEmpty else { return configured }
        let running = try root.kernelRelease()
        for suffix in ["+debug", "-debug"] where running.hasSuffix(suffix) {
            let plain = String(running.dropLast(suffix.count))
            if root.isFile("/usr/lib/modules/\(plain)/modules.dep") { return plain }
        }
        return running
    }

    private static func directories(
        _ file: ConfigurationFile, below root: SystemRoot
    ) -> [String] {
        let configured = file["KDUMP_BOOTDIR"].split { " \t\n".contains($0) }.map(String.init)
        let usual = configured.isEmpty ? ["/boot", "/boot/efi", "/efi", "/"] : configured
        guard root.isFile("/run/ostree-booted") else { return usual }
        let deployments = "/boot/ostree"
        return root.names(in: deployments).filter { !$0.hasPrefix(".") }.sorted().map {
            "\(deployments)/\($0)"
        } + usual
    }

    private static func names(
        of release: String, _ file: ConfigurationFile, below root: SystemRoot
    ) -> [String] {
        let machine = (try? root.line(of: "/etc/machine-id")).flatMap { $0 } ?? ""
        let image = file["KDUMP_IMG"]
        var names = [
            "\(image)-\(release)\(file["KDUMP_IMG_EXT"])", "\(machine)/\(release)/\(image)",
            unified(root) ?? "EFI/Linux/\(machine)-\(release).efi",
        ]
        if let booted = booted(root), booted.hasSuffix(release) { names.insert(booted, at: 0) }
        return names
    }

    /// The image that the boot loader says it started, without GRUB's name of the device.
    private static func booted(_ root: SystemRoot) -> String? {
        let key = "BOOT_IMAGE="
        guard let line = root.kernelCommandLine.value, line.hasPrefix(key) else { return nil }
        let path = line.dropFirst(key.count).prefix { !" \t".contains($0) }
        guard path.hasPrefix("("), let end = path.lastIndex(of: ")") else { return String(path) }
        return String(path[path.index(after: end)...])
    }

    /// The unified kernel image that was started: UTF-16, with backslashes.
    private static func unified(_ root: SystemRoot) -> String? {
        guard let bytes = try? root.bytes(of: stub) else { return nil }
        let printable = bytes.filter { (0x20...0x7E).contains($0) }
        return String(
            decoding: printable.map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 },
            as: UTF8.self)
    }

    /// The initrd that kdumpctl makes beside the kernel, or elsewhere if it cannot write there.
    ///
    /// Inside the service's sandbox we cannot find out whether it can, but we can see which of the
    /// two files exists.
    private static func initrd(
        beside kernel: String, _ release: String, below root: SystemRoot
    ) -> String {
        let directory = kernel.prefix(upTo: kernel.lastIndex(of: "/") ?? kernel.startIndex)
        let elsewhere = "\(state)/initramfs-\(release)kdump.img"
        let beside: String
        if root.isFile("\(directory)/initramfs-\(release).img") {
            beside = "\(directory)/initramfs-\(release)kdump.img"
        } else if root.isFile("\(directory)/initrd") {
            beside = "\(directory)/initrdkdump"
        } else {
            return elsewhere
        }
        return root.isFile(beside) || !root.isFile(elsewhere) ? beside : elsewhere
    }

    private static func squeezed(_ path: String) -> String {
        "/" + path.split(separator: "/").joined(separator: "/")
    }
}
