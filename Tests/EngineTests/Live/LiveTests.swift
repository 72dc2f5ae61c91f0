// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// What the engine reads of a machine, from recorded files.
@Suite struct LiveTests {
    @Test func leavesOutWhatNoDumpHolds() throws {
        var files = RecordedMachine.stock
        files["/sys/kernel/kexec/crash_cma_ranges"] = "20000000-2fffffff\n"
        let machine = try RecordedMachine(files)
        let view = LiveView(of: machine.root, on: .x86)
        let live = try #require(view.system.value)
        #expect(
            live.ram.ranges == [
                AddressRange(start: 0x10_0000, end: 0x2000_0000),
                AddressRange(start: 0x3000_0000, end: 0x3100_0000),
                AddressRange(start: 0x3D00_0000, end: 0x3FFD_F000),
            ])
        #expect(live.cpus.description == "0-1")
        #expect(view.reserved.value == [AddressRange(start: 0x3100_0000, end: 0x3D00_0000)])
        // Only x86 leaves out the first MiB.
        let arm = LiveView(of: machine.root, on: .arm64).system.value
        #expect(arm?.ram.ranges.first == AddressRange(start: 0x1000, end: 0x9FC00))
    }

    /// A descriptor that has more rights than the process is read again and again.
    @Test func readsAMemoryMapThatWasOpenedForIt() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        let place = machine.root.path("/proc/iomem")
        let map = unsafe open(place, O_RDONLY)
        defer { close(map) }
        let root = SystemRoot(machine.root.prefix, memoryMap: map)
        let before = LiveView(of: root, on: .x86).system.value
        #expect(before == LiveView(of: machine.root, on: .x86).system.value && before != nil)
        // The file that the descriptor leads to, and not one that has taken its name.
        try Data("00100000-7fffffff : System RAM\n".utf8).write(to: URL(filePath: place))
        #expect(LiveView(of: root, on: .x86).system.value?.ram.byteCount == 0x7FF0_0000)
        try machine.remove("/proc/iomem")
        #expect(LiveView(of: root, on: .x86).system.value?.ram.byteCount == 0x7FF0_0000)
        #expect(LiveView(of: machine.root, on: .x86).system.value == nil)
    }

    @Test func saysWhyItCannotSee() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        try machine.write("00000000-00000000 : System RAM\n", to: "/proc/iomem")
        expectUnknown(machine, "zeros")
        try machine.write("00001000-0009fbff : System RAM\nrubbish", to: "/proc/iomem")
        expectUnknown(machine, "line 2")
        try machine.remove("/proc/iomem")
        expectUnknown(machine, "No such file")
        let blind = try RecordedMachine(RecordedMachine.stock)
        try blind.write("0-one\n", to: "/sys/devices/system/cpu/present")
        expectUnknown(blind, "list of CPUs")
    }

    /// A read that the kernel fails is no reason to load; the next may succeed.
    @Test(arguments: [
        "/proc/iomem", "/sys/devices/system/cpu/present", "/sys/devices/system/cpu/possible",
        "/sys/devices/system/cpu/cpu1/crash_notes", "/proc/cmdline",
    ])
    func looksAgainAfterAReadThatFailed(file: String) throws {
        var files = RecordedMachine.stock
        files["/sys/devices/system/cpu/cpu0/crash_notes"] = "3fc3d800\n"
        files["/sys/devices/system/cpu/cpu1/crash_notes"] = "3fd3d800\n"
        let machine = try RecordedMachine(files)
        #expect(!LiveView(of: machine.root, on: .x86).mayPass)
        let place = machine.root.path(file)
        try? machine.remove(file)
        // At address 0 of a process there is nothing: EIO (fs/proc/base.c, `mem_rw`).
        try FileManager.default.createSymbolicLink(
            atPath: place, withDestinationPath: "/proc/self/mem")
        let view = LiveView(of: machine.root, on: .x86)
        #expect(view.mayPass && (view.system.value == nil || view.notes.value == nil))
        try machine.remove(file)
        // A link to itself stays what it is: ELOOP.
        try FileManager.default.createSymbolicLink(
            atPath: place, withDestinationPath: place)
        let other = LiveView(of: machine.root, on: .x86)
        #expect(!other.mayPass && (other.system.value == nil || other.notes.value == nil))
    }

    /// Where nobody may read the file, kernel memory is asked.
    @Test func aFileThatNobodyMayReadIsNotNeeded() throws {
        var files = RecordedMachine.stock
        files["/proc/cmdline"] = "crashkernel=256M crashkernel=64M,cma\n"
        let machine = try RecordedMachine(files)
        let file = "/sys/kernel/kexec/crash_cma_ranges"
        try machine.write("", to: file)
        try machine.remove(file)
        let place = machine.root.path(file)
        try FileManager.default.createSymbolicLink(atPath: place, withDestinationPath: place)
        let told = AddressRange(start: 0x2000_0000, end: 0x2400_0000)
        let view = LiveView(of: machine.root, on: .x86) { .known(AddressRanges([told])) }
        let ram = try #require(view.system.value?.ram)
        #expect(!ram.ranges.contains { $0.start < told.end && told.start < $0.end })
    }

    private func expectUnknown(_ machine: RecordedMachine, _ part: String) {
        let reason = LiveView(of: machine.root, on: .x86).system.reason
        #expect(reason?.contains(part) == true)
    }

    @Test func asksTheKernelUnderOldAndNewNames() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        #expect(try KernelSupport(of: machine.root) == KernelSupport(isLoaded: true))
        try machine.write("0\n", to: "/sys/kernel/kexec/crash_loaded")
        try machine.write("1\n", to: "/proc/sys/kernel/kexec_load_disabled")
        try machine.write("3\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        try machine.write(
            "none [integrity] confidentiality\n", to: "/sys/kernel/security/lockdown")
        #expect(
            try KernelSupport(of: machine.root)
                == KernelSupport(
                    isLoaded: false, loadingDisabled: true, loadsLeft: 3, lockdown: .integrity))
        try machine.write("-1\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        #expect(try KernelSupport(of: machine.root).loadsLeft == nil)
        #expect(try KernelSupport(of: RecordedMachine([:]).root).isLoaded == nil)
    }

    @Test func tellsNoFromNoSuchFeature() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        #expect(try KernelSupport.keepsUp(below: machine.root) == nil)
        try machine.write("0\n", to: "/sys/devices/system/cpu/crash_hotplug")
        #expect(try KernelSupport.keepsUp(below: machine.root) == false)
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(try KernelSupport.keepsUp(below: machine.root) == true)
    }

    @Test func readsThroughARootAndReportsTheRealError() throws {
        let machine = try RecordedMachine(["/etc/hostname": "guest\nsecond\n"])
        #expect(try machine.root.line(of: "/missing", "/etc/hostname") == "guest")
        #expect(try machine.root.line(of: "/missing") == nil)
        let error = #expect(throws: SystemError.self) { try machine.root.bytes(of: "/missing") }
        #expect(error?.description.hasSuffix("/missing: No such file or directory") == true)
        #expect(SystemRoot("/").path("/proc/iomem") == "/proc/iomem")
        #expect(SystemRoot("/a/b//").path("/proc/iomem") == "/a/b/proc/iomem")
    }
}
