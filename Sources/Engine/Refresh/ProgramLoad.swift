// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A load that kexec(8) makes, because the running kernel has no `kexec_file_load`.
///
/// What such a program does, placing segments and making a device tree, purgatory and a core header, is
/// not written here again: this is the last way, after patch and replay. It says what is to be loaded;
/// how the program is started, and with which rights, is for the caller of the engine to know.
package struct ProgramLoad {
    /// Has the program load, and returns what went wrong; `nil` if nothing did.
    package typealias Runner = (ProgramLoad) -> SystemError?

    /// The kernel's open file.
    package let kernel: CInt
    /// The initrd's open file; `nil` if there is none.
    package let initrd: CInt?
    /// The capture kernel's command line, without `elfcorehdr=`.
    package let commandLine: String

    /// Makes the load.
    ///
    /// Its time is that of the whole program, of which only the system call leaves the machine
    /// unprotected.
    func run(by program: Runner?) -> Kexec.Attempt {
        let start = MonotonicClock.microseconds()
        let cause =
            if let program { program(self) } else { SystemError("start kexec(8)", errno: ENOTSUP) }
        return Kexec.Attempt(
            errno: cause == nil ? 0 : ECANCELED,
            microseconds: MonotonicClock.microseconds() - start, cause: cause)
    }
}
