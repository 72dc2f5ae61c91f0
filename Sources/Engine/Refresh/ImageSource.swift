// SPDX-License-Identifier: Apache-2.0

/// What a reload loads: the crash kernel, its initrd and its command line.
package struct ImageSource: Hashable, Codable {
    /// The path of the kernel image.
    package let kernel: String
    /// The path of the initrd; `nil` loads none.
    package let initrd: String?
    /// The command line, without the `elfcorehdr=` that the kernel puts before it; `nil` takes over
    /// that of the image that is loaded.
    package let commandLine: String?

    /// Creates a source from its parts.
    package init(kernel: String, initrd: String?, commandLine: String?) {
        self.kernel = kernel
        self.initrd = initrd
        self.commandLine = commandLine
    }
}
