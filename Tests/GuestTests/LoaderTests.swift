// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Proves the loaders other than the kernel's own: kexec-tools' and, with it, Debian's.
    ///
    /// These are the controls of the tests that have the daemon look after such an image: the image
    /// dumps, and nobody else keeps it current, whatever the kernel.
    @Suite struct LoaderTests {
        @Test(arguments: Cell.isFull ? Kernel.all : [.v6_1])
        func `an image loaded by kexec -c dumps`(kernel: Kernel) throws {
            let guest = try guest(kernel, .booted)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.loadCrashKernel(systemCall: "-c")
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.processors == 3)
            #expect(dump.covers(dimm))
            #expect(dump.marks.intact == marks.pages)
        }

        @Test(arguments: Kernel.all)
        func `an image loaded by kdump-tools dumps, and misses what is added`(
            kernel: Kernel
        ) throws {
            let guest = try guest(kernel, .booted)
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "0")
            try guest.loadCrashKernelByKdumpTools(adding: "acpi_no_memhotplug")
            let command = try guest.expect("cat /var/crash/kexec_cmd")
            #expect(command.contains("usbcore.nousb acpi_no_memhotplug\" --initrd=/var/lib/kdump/"))
            #expect(try guest.failedRuleReloads() == 0)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.expect("udevadm settle")
            // Two memory blocks and a CPU that comes and goes online.
            #expect(try guest.failedRuleReloads() >= 3)
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.processors == 2)
            #expect(!dump.touches(dimm))
            #expect(dump.marks.absent == marks.pages)
        }
    }
}
