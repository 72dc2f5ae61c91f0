// SPDX-License-Identifier: Apache-2.0

/// What a reload is to load, and who says so.
///
/// First come the operator's own settings, then what the distribution's kdump service is configured
/// to load. It is read each time it is needed, because nobody tells us when a kernel upgrade moves
/// links or an administrator edits files.
package struct Configuration: Equatable {
    /// The files, and the command line if the operator has set one.
    package let source: ImageSource
    /// The file that says so; `nil` if the operator's settings do.
    package let file: String?
    /// The command line that the distribution's own service would use.
    ///
    /// That of the image in place comes first, because the administrator has really loaded that.
    package let commandLine: Fact<String>

    /// What the operator's settings say.
    init(named source: ImageSource) {
        self.source = source
        file = nil
        commandLine = .unknown(because: "none is configured")
    }

    /// What a distribution's `file` says.
    init(kernel: String, initrd: String?, commandLine: Fact<String>, by file: String) {
        source = ImageSource(kernel: kernel, initrd: initrd, commandLine: nil)
        self.file = file
        self.commandLine = commandLine
    }

    /// Finds out what to load on the machine below `root`: what is `named`, else what its
    /// distribution has configured.
    ///
    /// - Throws: An obstacle if nothing is configured, or if the configuration cannot be read.
    static func find(
        named source: ImageSource?, below root: SystemRoot, on architecture: Architecture
    ) throws(Obstacle) -> Configuration {
        if let source { return Configuration(named: source) }
        guard let family = Configuration.family(below: root, on: architecture) else {
            throw .noSource
        }
        return try family.configuration()
    }

    /// The family whose kdump service is installed.
    static func family(
        below root: SystemRoot, on architecture: Architecture
    ) -> (any DistributionFamily)? {
        let families: [any DistributionFamily] = [
            DebianConfiguration(root: root, architecture: architecture),
            FedoraConfiguration(root: root, architecture: architecture),
            SUSEConfiguration(root: root, architecture: architecture),
        ]
        return families.first { $0.isInstalled }
    }
}

/// A family of distributions that share a kdump service, and so its configuration.
protocol DistributionFamily {
    /// Whether its kdump service is installed.
    var isInstalled: Bool { get }
    /// The file that its tools lock while they load or unload.
    var lock: String { get }
    /// The systemd unit that loads the crash kernel at boot.
    var service: String { get }

    /// Finds out what its kdump service would load.
    ///
    /// - Throws: The obstacle that prevents a reload of that.
    func configuration() throws(Obstacle) -> Configuration
}
