// SPDX-License-Identifier: Apache-2.0

/// Crashing a guest, and asking its capture kernel what the dump holds.
extension Machine {
    /// The command line that a capture kernel needs on a PC.
    package static let captureCommandLine = PC.captureCommandLine

    /// Loads the crash kernel by hand, as a distribution's script would, with kexec-tools.
    ///
    /// `systemCall` is kexec's option for the system call: `-s` the kernel's own loader, `-c` kexec's.
    package func loadCrashKernel(
        commandLine: String? = nil, systemCall: String = "-s", program: String = "kexec"
    ) throws(GuestError) {
        try expect(
            """
            \(program) \(systemCall) -p \(captureKernel) \
            --initrd=\(GuestImage.captureInitrd) --command-line='\(commandLine ?? captureCommandLine)'
            """)
    }

    /// The command line that a capture kernel needs on this machine.
    package var captureCommandLine: String { settings.kernel.platform.machine.captureCommandLine }

    /// The running kernel's own file, as the guest's shell finds it.
    package var captureKernel: String { settings.kernel.platform.machine.kernelFile }

    /// Crashes the guest, and returns its dump; the guest is of no use afterwards.
    ///
    /// With a `processor` it is that CPU that crashes.
    package func crash(
        on processor: Int? = nil, looking marks: Marks? = nil, within time: Duration = patience
    ) throws(GuestError) -> Vmcore {
        try startCrash(on: processor)
        return try dump(looking: marks, within: time)
    }

    /// Crashes the guest, and does not wait for anything.
    package func startCrash(on processor: Int? = nil) throws(GuestError) {
        try refuseUnstartedCPUs()
        let place = processor.map { "taskset -p -c \($0) $BASHPID >/dev/null && " } ?? ""
        try agent.start(place + "echo c >/proc/sysrq-trigger")
    }

    /// Returns the dump of a guest that crashes, or is about to, by itself.
    package func dump(
        looking marks: Marks? = nil, within time: Duration = patience
    ) throws(GuestError) -> Vmcore {
        let begin = ContinuousClock.now
        defer { Census.spent(on: .dumping, since: begin) }
        let deadline = Deadline(in: time)
        do {
            _ = try answer(.ready, by: deadline)
            let headers = try ask("headers", .headers, by: deadline)
            var report = MarkReport()
            if let marks { try look(for: marks, &report, by: deadline) }
            let time = begin.duration(to: .now)
            _ = try ask("off", .off, by: deadline)
            return try Vmcore(headers: headers, marks: report, captureTime: time)
        } catch {
            throw explained(error, "waiting for the capture kernel")
        }
    }

    /// Added to a guest's command line, has its kernel address each CPU that it stops by itself.
    package static let stopsOnlyStartedCPUs = "no_ipi_broadcast=1"

    /// Refuses to crash a guest that QEMU would reset instead.
    ///
    /// A crashing kernel stops the other CPUs by one NMI to all of them. QEMU (7.2, 10.0 and 11.1 were
    /// tried, each time) starts a CPU with it that no kernel has started, at its reset vector, and the
    /// firmware there reboots the machine. That is no lost dump, and must hide none.
    func refuseUnstartedCPUs() throws(GuestError) {
        guard !settings.commandLine.contains(Self.stopsOnlyStartedCPUs) else { return }
        for number in unstartedCPUs {
            guard try run("grep -q 1 /sys/devices/system/cpu/cpu\(number)/online").status == 0
            else {
                throw .refused(
                    """
                    QEMU resets a machine that crashes with a CPU that was never online: bring CPU \
                    \(number) online, or boot with \(Self.stopsOnlyStartedCPUs)
                    """)
            }
        }
    }

    /// The kinds of answers of guest-probe that are no error.
    private enum Answer: String {
        case ready, headers, scan, off
    }

    /// Short questions: a serial line has no brakes in that direction.
    private func look(
        for marks: Marks, _ report: inout MarkReport, by deadline: Deadline
    ) throws(GuestError) {
        var runs = marks.runs[...]
        while !runs.isEmpty {
            let some = runs.prefix(64)
            runs = runs.dropFirst(64)
            let question =
                "scan \(String(marks.nonce, radix: 16)) \(some.joined(separator: " "))"
            let text = try ask(question, .scan, by: deadline)
            try report.add(String(decoding: text, as: UTF8.self))
        }
    }

    private func ask(
        _ question: String, _ kind: Answer, by deadline: Deadline
    ) throws(GuestError) -> [UInt8] {
        try agent.wire.send(question + "\n", by: deadline)
        return try answer(kind, by: deadline)
    }

    /// The next frame; lines before it are what the guest had still in its serial port.
    private func answer(_ kind: Answer, by deadline: Deadline) throws(GuestError) -> [UInt8] {
        while true {
            let words = try agent.wire.line(by: deadline).split(separator: " ")
            guard words.count == 4, words[0] == "frame", let size = Int(words[2]),
                let checksum = UInt32(words[3], radix: 16)
            else { continue }
            let payload = try agent.wire.bytes(size, by: deadline)
            guard crc32(payload) == checksum else {
                throw .garbled("the answer \(words[1]) arrived damaged")
            }
            guard words[1] == kind.rawValue else {
                throw .noDump("\(words[1]): \(String(decoding: payload, as: UTF8.self))")
            }
            return payload
        }
    }
}

/// CRC-32 as guest-probe computes it.
private func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = ~UInt32(0)
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 {
            crc = (crc >> 1) ^ (crc & 1 == 0 ? 0 : 0xedb8_8320)
        }
    }
    return ~crc
}
