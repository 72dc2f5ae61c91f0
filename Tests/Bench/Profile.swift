// SPDX-License-Identifier: Apache-2.0

import Guest

/// Where the time of a patch goes inside the kernel.
///
/// More kprobe events than the windows have, each of which costs microseconds itself: good for shares
/// of the time, not for the time.
struct Profile {
    let guest: Machine
    let table: Table

    private static let rounds = 4

    static let columns = ["kernel", "cpus", "round", "function", "count", "us"]

    /// The steps of `do_kexec_load` that a symbol is left of; not every kernel has all.
    private static let functions = [
        "kexec_mark_crashkres", "cpa_flush", "flush_tlb_kernel_range",
        "smp_call_function_many_cond", "machine_kexec_prepare", "kimage_load_segment",
        "kimage_alloc_control_pages", "kimage_crash_copy_vmcoreinfo", "kimage_free",
    ]

    func measure() throws {
        try guest.watchFunctions(Self.functions)
        try guest.startDaemon()
        for round in 1...Self.rounds {
            try guest.kexec("-c")
            try guest.clearTrace()
            if round % 2 == 1 {
                try guest.hotAdd(megabytes: 256, id: "dimm")
            } else {
                try guest.hotRemove("dimm")
            }
            try guest.waitForLoad()
            let trace = try guest.trace()
            guard let lock = trace.locks.last else { continue }
            add(round, "do_kexec_load", [lock])
            for function in Self.functions {
                let spans = trace.spans(from: "in_\(function): ", to: "out_\(function): ")
                    .filter { $0.start >= lock.start && $0.end <= lock.end }
                if !spans.isEmpty { add(round, function, spans) }
            }
        }
    }

    private func add(_ round: Int, _ function: String, _ spans: [Trace.Span]) {
        let sum = spans.map(\.duration).reduce(0, +)
        table.add([
            "\(guest.settings.kernel)", "\(guest.settings.processors)", "\(round)", function,
            "\(spans.count)", micro(sum),
        ])
    }
}
