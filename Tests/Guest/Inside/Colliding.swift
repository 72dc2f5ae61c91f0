// SPDX-License-Identifier: Apache-2.0

/// kdump-tools reloading while something else happens, and what the two did to each other.
///
/// The kernel's own trace tells it, so loads must be traced: ``Machine/traceLoads()``.
extension Machine {
    /// What happened while kdump-tools reloaded.
    package struct Collision: Sendable {
        /// How many calls of the daemon that load were under way or began.
        package var loads = 0
        /// How many calls that load or unload, of anyone, found another under way (EBUSY).
        package var busy = 0
        /// The exit code of `kdump-config`.
        package let status: Int
    }

    /// Lets kdump-tools reload, so many seconds from now, and does not wait for it.
    package func startReload(after seconds: Double) throws(GuestError) {
        try expect(
            """
            rm -f /run/reloaded; echo >/sys/kernel/tracing/trace
            cat >/run/reload <<'END'
            sleep "$1"
            echo begin >/sys/kernel/tracing/trace_marker
            kdump-config reload; status=$?
            echo end >/sys/kernel/tracing/trace_marker
            echo $status >/run/reloading && mv /run/reloading /run/reloaded
            END
            setsid -f bash /run/reload \(seconds) </dev/null >/dev/null 2>&1
            """)
    }

    /// Waits until kdump-tools has reloaded, and says what happened meanwhile.
    package func awaitReload() throws(GuestError) -> Collision {
        try waitUntil("[ -e /run/reloaded ]")
        let text = try expect("cat /run/reloaded")
        guard let status = Int(text) else { throw .garbled("kdump-config's status: \(text)") }
        var collision = Collision(status: status)
        var (isReloading, isLoading) = (false, false)
        for line in try expect("grep -v '^#' /sys/kernel/tracing/trace").split(separator: "\n") {
            if line.contains("tracing_mark_write") {
                isReloading = line.hasSuffix("begin")
                if isReloading, isLoading { collision.loads += 1 }
            } else if line.contains("sys_kexec") {
                let isEnd = line.contains("->")
                // -EBUSY, as the trace writes a call's result.
                if isReloading, line.hasSuffix("-> 0xfffffffffffffff0") { collision.busy += 1 }
                guard line.contains("kdump-hotplugd-") else { continue }
                isLoading = !isEnd
                if isReloading, isLoading { collision.loads += 1 }
            }
        }
        return collision
    }
}
