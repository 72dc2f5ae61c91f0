// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// How findings are put into words: the status line, the journal and `--check` all say the same.
///
/// Every sentence stands without its full stop and begins so that it can follow a colon or a dash.
/// Nothing is judged here.
enum Sentences {
    /// Says what a look means for a crash right now.
    static func meaning(of look: Engine.Look) -> String {
        switch look.verdict {
        case .unsupported:
            "a crash now leaves no dump: this kernel is built without kexec"
        case .nothingReserved:
            "a crash now leaves no dump: no memory is reserved for a crash kernel;"
                + " add crashkernel=256M or more to the kernel command line and reboot"
        case .nothingLoaded where look.observation.remembered != nil:
            "a crash now leaves no dump: at this moment no crash kernel is loaded;"
                + " one is being loaded, or somebody has unloaded it"
        case .nothingLoaded:
            "a crash now leaves no dump: no crash kernel is loaded;"
                + " start the kdump service of this distribution"
        case .lost:
            "a crash now leaves no dump: the crash kernel was lost when a load failed"
        case .neverStale:
            "the crash kernel is loaded, and on this architecture it never goes stale"
        case .current:
            "the crash kernel covers \(extent(of: look))"
        case .waiting(let coverage):
            staleness(coverage, of: look) + "; the kernel itself is about to see to that"
        case .stale(let coverage):
            staleness(coverage, of: look)
        case .broken(let reason):
            "a crash now leaves no dump: the loaded image is damaged, \(reason)"
        case .missingParameter(let needs):
            "a crash now loses hot-added memory: the crash kernel's command line lacks "
                + needs.map(\.parameter).joined(separator: " and ")
        case .trusted(let reason):
            "the kernel says that it keeps the crash kernel current; that cannot be verified:"
                + " \(reason)"
        case .unverified(let reason):
            "a crash kernel is loaded, but whether it is current cannot be told: \(reason)"
        }
    }

    /// Says what differs between a stale image and the machine.
    private static func staleness(_ coverage: Coverage, of look: Engine.Look) -> String {
        var parts: [String] = []
        if coverage.losesAnything {
            let total = look.observation.live.value?.ram.byteCount ?? 0
            let memory = coverage.missingMemory.byteCount
            var losses = memory > 0 ? ["\(ByteCount(memory)) of \(ByteCount(total)) RAM"] : []
            if !coverage.missingCPUs.isEmpty { losses.append(processors(coverage.missingCPUs)) }
            parts.append("a crash now loses " + losses.joined(separator: " and "))
        }
        var ghosts: [String] = []
        if !coverage.phantomMemory.isEmpty {
            ghosts.append("\(ByteCount(coverage.phantomMemory.byteCount)) of RAM")
        }
        if !coverage.phantomCPUs.isEmpty { ghosts.append(processors(coverage.phantomCPUs)) }
        if !ghosts.isEmpty {
            parts.append(
                "the crash kernel lists " + ghosts.joined(separator: " and ") + " that "
                    + "the machine no longer has")
        }
        return parts.joined(separator: "; ")
    }

    /// Names CPUs: `CPU 2`, `CPUs 2-3`.
    private static func processors(_ cpus: NumberSet) -> String {
        cpus.count == 1 ? "CPU \(cpus)" : "CPUs \(cpus)"
    }

    /// Says how much machine there is: `1.06 GiB of RAM and 3 CPUs`.
    static func extent(of look: Engine.Look) -> String {
        guard let live = look.observation.live.value else { return "the machine" }
        let cpus = live.cpus.count
        return "\(ByteCount(live.ram.byteCount)) of RAM and \(cpus) \(cpus == 1 ? "CPU" : "CPUs")"
    }

    /// Says whom a load waits for.
    static func held(by holder: LoadLock.Holder) -> String {
        let who = holder.pid.map { "process \($0)" } ?? "another program"
        return "\(who) holds \(holder.path) and is waited for"
    }

    /// Puts a duration in microseconds into words: `174 µs`, `812 ms`, `1.2 s`.
    static func duration(microseconds: UInt64) -> String {
        switch microseconds {
        case ..<1_000: "\(microseconds) µs"
        case ..<1_000_000: "\(microseconds / 1_000) ms"
        default: "\(microseconds / 1_000_000).\(microseconds % 1_000_000 / 100_000) s"
        }
    }

    /// Puts an age in seconds into words: `12 s`, `5 min`, `3 h`, `2 d`.
    static func age(seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(max(0, seconds)) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }

    /// Makes a sentence out of words that begin in the middle of one.
    static func capitalised(_ words: String) -> String {
        words.prefix(1).uppercased() + words.dropFirst()
    }
}
