// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// The words for what was seen and done.
///
/// Every clause starts in lower case and has no full stop, so that it can follow a colon or a dash.
/// Nothing is judged here.
enum Sentences {
    /// Says what a look means for a crash right now.
    static func meaning(of look: Engine.Look) -> String {
        switch look.verdict {
        case .unsupported:
            "a crash now leaves no dump: this kernel was built without kexec"
        case .nothingReserved:
            "a crash now leaves no dump: no memory is reserved for a crash kernel;"
                + " add crashkernel=256M or more to the kernel command line and reboot"
        case .nothingLoaded where look.observation.remembered != nil:
            "a crash now leaves no dump: no crash kernel is loaded;"
                + " it was unloaded, or another program is about to load one"
        case .nothingLoaded:
            "a crash now leaves no dump: no crash kernel is loaded;"
                + " start the kdump service of this distribution"
        case .lost:
            "a crash now leaves no dump: a load failed after the old image was dropped"
        case .leftToFirmware:
            "a crash now leaves a dump made by the firmware (fadump), without a crash kernel"
        case .neverStale:
            "a crash kernel is loaded, and on this architecture it never goes stale"
        case .current:
            "the crash kernel covers \(extent(of: look))"
        case .waiting(let coverage), .stale(let coverage):
            staleness(coverage, of: look)
        case .broken(let reason):
            "a crash now leaves no dump: the loaded image is damaged: \(reason)"
        case .missingParameter(let needs):
            "a crash now loses hot-added memory: the crash kernel's command line lacks "
                + list(needs.map(\.parameter))
        case .trusted(let reason):
            "the kernel says that it updates the crash kernel itself; this cannot be verified:"
                + " \(reason)"
        case .unverified(let reason)
        where look.observation.isEncrypted && look.observation.keepsUp == true:
            "a crash kernel is loaded, but it cannot be verified, and it may be unable to read what"
                + " the running kernel writes into it at a hotplug: \(reason)"
        case .unverified(let reason):
            "a crash kernel is loaded, but it cannot be verified: \(reason)"
        }
    }

    /// Says what differs between a stale image and the machine.
    private static func staleness(_ coverage: Coverage, of look: Engine.Look) -> String {
        var parts = coverage.flaw.map { ["a crash now leaves no dump: \($0)"] } ?? []
        if !coverage.unbootableCPUs.isEmpty {
            let cpus = processors(coverage.unbootableCPUs)
            let any = coverage.unbootableCPUs.count == 1 ? "" : "one of "
            parts.append("a crash on \(any)\(cpus) leaves no dump")
        }
        if !coverage.missingMemory.isEmpty || !coverage.missingCPUs.isEmpty {
            let total = look.observation.live.value?.ram.byteCount ?? 0
            let memory = coverage.missingMemory.byteCount
            var losses = memory > 0 ? ["\(ByteCount(memory)) of \(ByteCount(total)) RAM"] : []
            if !coverage.missingCPUs.isEmpty { losses.append(processors(coverage.missingCPUs)) }
            parts.append("a crash now loses " + list(losses))
        }
        var phantoms: [String] = []
        if !coverage.phantomMemory.isEmpty {
            phantoms.append("\(ByteCount(coverage.phantomMemory.byteCount)) of RAM")
        }
        if !coverage.phantomCPUs.isEmpty { phantoms.append(processors(coverage.phantomCPUs)) }
        if !phantoms.isEmpty {
            parts.append(
                "the crash kernel lists \(list(phantoms)) that the machine no longer has")
        }
        return parts.joined(separator: "; ")
    }

    /// Names CPUs: `CPU 2`, `CPUs 2-3`.
    private static func processors(_ cpus: NumberSet) -> String {
        cpus.count == 1 ? "CPU \(cpus)" : "CPUs \(cpus)"
    }

    /// Says how much machine there is: `1.06 GiB of RAM and 3 CPUs`.
    private static func extent(of look: Engine.Look) -> String {
        guard let live = look.observation.live.value else { return "the machine" }
        let cpus = live.cpus.count
        return "\(ByteCount(live.ram.byteCount)) of RAM and \(cpus) \(cpus == 1 ? "CPU" : "CPUs")"
    }

    /// Says what was done: `patched`, `patched 2 times, then reloaded`.
    static func verbs(_ methods: [Engine.Refresh.Method]) -> String {
        var runs: [(method: Engine.Refresh.Method, count: Int)] = []
        for method in methods {
            if runs.last?.method == method {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((method, 1))
            }
        }
        let words = runs.map { run in
            let verb =
                switch run.method {
                case .patch: "patched"
                case .replay: "loaded again from reserved memory"
                case .reload: "reloaded"
                }
            return run.count == 1 ? verb : "\(verb) \(run.count) times"
        }
        return words.joined(separator: ", then ")
    }

    /// Says why nothing was loaded.
    static func yielding(to rival: Rival) -> String {
        switch rival {
        case .unloaded:
            "nothing was loaded, because another program has just unloaded the crash kernel"
        case .loaded:
            "nothing was loaded, because another program has just loaded a crash kernel"
        }
    }

    /// Says what a reload would load instead of the image in place; empty where it is the same.
    static func replacement(in ways: Engine.Ways) -> String {
        guard let replacement = ways.replacement else { return "" }
        let path = ways.configuration.map { " (\($0.source.kernel))" } ?? ""
        return "\(replacement)\(path)"
    }

    /// Names the holder of a lock.
    static func name(of holder: LoadLock.Holder) -> String {
        holder.pid.map { "process \($0)" } ?? "another program"
    }

    /// Lists things: `CPU 1 and CPU 2`.
    static func list(_ things: [String]) -> String { things.joined(separator: " and ") }

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

    /// Replaces every ASCII control character by a space: a file's name may have a line break in it.
    static func onOneLine(_ text: String) -> String {
        let harmless = text.unicodeScalars.map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
        }
        return String(String.UnicodeScalarView(harmless))
    }

    /// Makes the first letter a capital.
    static func capitalised(_ words: String) -> String {
        words.prefix(1).uppercased() + words.dropFirst()
    }
}
