// SPDX-License-Identifier: Apache-2.0

internal import CSystemd
internal import Engine
internal import Glibc

/// The event loop of the only thread: it calls back when a descriptor is readable, a signal has
/// come or a timer expires.
///
/// It is sd-event because that also feeds systemd's watchdog, and only while the loop runs: a
/// daemon that hangs is restarted. It must not be used from a second thread.
///
/// Each event source keeps its closure, and the loop (or an ``Alarm``) keeps the source. There is
/// nothing to cancel or to free.
final class EventLoop {
    private let event: Event

    /// Blocks the signals that the loop delivers, ignores those that would kill the daemon for no
    /// reason, and creates the loop.
    ///
    /// Child processes inherit the mask and the ignored signals: start a child with an empty mask
    /// and default actions.
    ///
    /// The corresponding C functions are `sigprocmask`, `signal` and `sd_event_new`.
    init() throws(SystemError) {
        // Blocked first: until then a signal would take its default action and kill the daemon.
        var delivered = sigset_t()
        unsafe sigemptyset(&delivered)
        for signal in [SIGHUP, SIGINT, SIGTERM] { unsafe sigaddset(&delivered, signal) }
        if unsafe sigprocmask(SIG_BLOCK, &delivered, nil) < 0 {
            throw SystemError("block signals", errno: errno)
        }
        // SIGPIPE: standard error may be a pipe without a reader. SIGIO: the kernel sends it when a
        // writer waits for the lease on a file that is being loaded (the engine's ImageFile).
        for harmless in [SIGPIPE, SIGIO] { signal(harmless, SIG_IGN) }
        var made: Event?
        try EventLoop.check("make an event loop", unsafe sd_event_new(&made))
        guard let made else { throw SystemError("make an event loop", errno: ENOMEM) }
        event = made
    }

    /// The time now in microseconds of CLOCK_MONOTONIC, the clock of every ``Alarm``.
    ///
    /// It is not the time at which the loop last woke up: a load takes seconds, and a pause after
    /// it must not have passed already.
    var now: UInt64 { MonotonicClock.microseconds() }

    /// Calls `body` whenever `fd` has something to read or an error.
    ///
    /// The corresponding C function is `sd_event_add_io`.
    func whenReadable(_ fd: CInt, _ body: @escaping () -> Void) throws(SystemError) {
        let source = try unsafe EventLoop.source("watch descriptor \(fd)", body) { made, body in
            unsafe event.addIO(
                &made, fd: fd, events: EPOLLIN.rawValue,
                handler: { _, _, _, body in unsafe Handler.call(body) }, userData: body)
        }
        try leave(source)
    }

    /// Calls `body` whenever `signal` has come; it must be one of those that `init` blocks.
    ///
    /// The corresponding C function is `sd_event_add_signal`.
    func whenSignalled(_ signal: CInt, _ body: @escaping () -> Void) throws(SystemError) {
        let source = try unsafe EventLoop.source("watch signal \(signal)", body) { made, body in
            unsafe event.addSignal(
                &made, signal: signal,
                handler: { _, _, body in unsafe Handler.call(body) }, userData: body)
        }
        try leave(source)
    }

    /// Creates an alarm that calls `body`; it is not set yet.
    ///
    /// The corresponding C function is `sd_event_add_time`.
    func makeAlarm(_ body: @escaping () -> Void) throws(SystemError) -> Alarm {
        let source = try unsafe EventLoop.source("make a timer", body) { made, body in
            unsafe event.addTimer(
                &made, clock: CLOCK_MONOTONIC, time: UInt64.max, accuracy: Alarm.accuracy,
                handler: { _, _, body in unsafe Handler.call(body) }, userData: body)
        }
        return try Alarm(source)
    }

    /// Tells systemd at regular intervals that the loop runs; false if the watchdog is off.
    ///
    /// The corresponding C function is `sd_event_set_watchdog`.
    func keepWatchdogFed() throws(SystemError) -> Bool {
        try EventLoop.check("feed the watchdog", event.setWatchdog(1)) > 0
    }

    /// Runs the loop until ``exit(_:)``, and returns the code given there.
    ///
    /// The corresponding C function is `sd_event_loop`.
    func run() throws(SystemError) -> CInt {
        try EventLoop.check("run the event loop", event.loop())
    }

    /// Ends the loop after the closure that runs now; `code` must not be negative.
    ///
    /// The corresponding C function is `sd_event_exit`.
    func exit(_ code: CInt) {
        // It fails only on a loop that has already ended.
        _ = event.exit(code)
    }

    /// Leaves the source to the loop, which frees it at its own end.
    private func leave(_ source: EventSource) throws(SystemError) {
        try EventLoop.check("keep an event source", source.setFloating(1))
    }

    /// Creates a source that owns `body`.
    private static func source(
        _ operation: String, _ body: @escaping () -> Void,
        _ add: (inout EventSource?, UnsafeMutableRawPointer) -> CInt
    ) throws(SystemError) -> EventSource {
        let handler = unsafe Unmanaged.passRetained(Handler(body))
        var added: EventSource?
        let result = unsafe add(&added, handler.toOpaque())
        guard result >= 0, let added else {
            unsafe handler.release()
            throw SystemError(operation, errno: result < 0 ? -result : ENOMEM)
        }
        try check(operation, unsafe added.setDestroyCallback { unsafe Handler.release($0) })
        return added
    }

    /// Throws an error for a negative result, which is systemd's negated error number.
    @discardableResult
    fileprivate static func check(
        _ operation: String, _ result: CInt
    ) throws(SystemError) -> CInt {
        guard result >= 0 else { throw SystemError(operation, errno: -result) }
        return result
    }
}

/// An alarm clock of the loop: it rings once each time that it is set.
///
/// Setting it again moves it. Without references it ends, even if it is set.
final class Alarm {
    /// How late it may ring, in microseconds.
    ///
    /// This lets the kernel wake up once for several timers. sd-event's default is 250 ms, longer
    /// than the pause that ends a burst; 1 ms is short compared with it, and cheap for a daemon
    /// that sleeps unless something is hot-plugged.
    fileprivate static let accuracy: UInt64 = 1000

    private let source: EventSource

    fileprivate init(_ source: EventSource) throws(SystemError) {
        self.source = source
        try clear()
    }

    /// Makes it ring at a time of the clock of ``EventLoop/now``; at once if that has passed.
    ///
    /// The corresponding C functions are `sd_event_source_set_time` and
    /// `sd_event_source_set_enabled`.
    func set(at microseconds: UInt64) throws(SystemError) {
        try EventLoop.check("set a timer", source.setTime(microseconds))
        try EventLoop.check("set a timer", source.setEnabled(CInt(SD_EVENT_ONESHOT)))
    }

    /// Clears it: it does not ring until it is set again.
    ///
    /// The corresponding C function is `sd_event_source_set_enabled`.
    func clear() throws(SystemError) {
        try EventLoop.check("clear a timer", source.setEnabled(CInt(SD_EVENT_OFF)))
    }
}

/// A closure as C can hold it: a pointer that owns one reference.
private final class Handler {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) {
        self.body = body
    }

    /// Calls the closure; returning 0 keeps its source enabled.
    static func call(_ handler: UnsafeMutableRawPointer?) -> CInt {
        guard let handler = unsafe handler else { return 0 }
        unsafe Unmanaged<Handler>.fromOpaque(handler).takeUnretainedValue().body()
        return 0
    }

    /// Releases the reference that C owned.
    static func release(_ handler: UnsafeMutableRawPointer?) {
        guard let handler = unsafe handler else { return }
        unsafe Unmanaged<Handler>.fromOpaque(handler).release()
    }
}
