// SPDX-License-Identifier: Apache-2.0

internal import CSystemd
internal import Engine
internal import Glibc

/// The one loop of the one thread: calls back when a descriptor is readable, a signal came, or it
/// is time.
///
/// sd-event rather than a loop of our own, because it also feeds systemd's watchdog, and does so
/// only while the loop turns: a daemon that hangs is restarted. It knows nothing of what it
/// watches, and it is not for use from a second thread.
///
/// A closure that is handed over lives as long as what it waits for: it is kept by its event
/// source, and that by the loop (or by its ``Alarm``). There is nothing to cancel or to collect.
final class EventLoop {
    private let event: Event

    /// Blocks the signals the loop hands out, ignores those that would end the daemon for nothing,
    /// and makes the loop.
    ///
    /// Both the mask and the ignored signals pass to child processes: a child must be started with
    /// an empty mask and with default actions.
    ///
    /// The corresponding C functions are `sigprocmask`, `signal` and `sd_event_new`.
    init() throws(SystemError) {
        // Blocked before anything else: a signal in between would take its default action and end
        // the daemon.
        var handed = sigset_t()
        unsafe sigemptyset(&handed)
        for signal in [SIGHUP, SIGINT, SIGTERM] { unsafe sigaddset(&handed, signal) }
        if unsafe sigprocmask(SIG_BLOCK, &handed, nil) < 0 {
            throw SystemError("block signals", errno: errno)
        }
        // SIGPIPE: standard error may be a pipe whose reader has gone. SIGIO: the
        // kernel tells so of a writer that waits for the lease on a file being loaded (the engine's
        // ImageFile). Neither is a reason to die.
        for pointless in [SIGPIPE, SIGIO] { signal(pointless, SIG_IGN) }
        var made: Event?
        try EventLoop.check("make an event loop", unsafe sd_event_new(&made))
        guard let made else { throw SystemError("make an event loop", errno: ENOMEM) }
        event = made
    }

    /// The time in microseconds of CLOCK_MONOTONIC, the clock of every ``Alarm``.
    ///
    /// It is the time of asking, not the one at which the loop last woke up: loading a crash
    /// kernel takes seconds, and a pause that is to follow it must not have passed meanwhile.
    ///
    var now: UInt64 { MonotonicClock.microseconds() }

    /// Calls `body` whenever `fd` has something to read, an error to collect included.
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

    /// Calls `body` whenever `signal`, which must be one of those blocked at the start, has come.
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

    /// Makes an alarm that calls `body`, and that is not yet set.
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

    /// Tells systemd at regular intervals that the loop turns; false where nobody asked for that.
    ///
    /// The corresponding C function is `sd_event_set_watchdog`.
    func keepWatchdogFed() throws(SystemError) -> Bool {
        try EventLoop.check("feed the watchdog", event.setWatchdog(1)) > 0
    }

    /// Turns the loop until ``exit(_:)``, and returns what was said there.
    ///
    /// The corresponding C function is `sd_event_loop`.
    func run() throws(SystemError) -> CInt {
        try EventLoop.check("run the event loop", event.loop())
    }

    /// Ends the loop after the closure that runs now; `code` must not be negative.
    ///
    /// The corresponding C function is `sd_event_exit`.
    func exit(_ code: CInt) {
        // It fails only on a loop that has ended already, which is what is wanted.
        _ = event.exit(code)
    }

    /// Leaves the source to the loop, which drops it when it ends itself.
    private func leave(_ source: EventSource) throws(SystemError) {
        try EventLoop.check("keep an event source", source.setFloating(1))
    }

    /// Makes a source that owns `body`: with the source goes the closure.
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

    /// Turns a negated error number, systemd's way to report a failure, into an error.
    @discardableResult
    fileprivate static func check(
        _ operation: String, _ result: CInt
    ) throws(SystemError) -> CInt {
        guard result >= 0 else { throw SystemError(operation, errno: -result) }
        return result
    }
}

/// An alarm clock of the loop: rings once for each time that it is set.
///
/// Setting it again moves it. It ends with its last reference, even if it was to ring.
final class Alarm {
    /// How late it may ring, in microseconds.
    ///
    /// The latitude lets the kernel wake up once for several timers. sd-event's default is 250 ms,
    /// longer than the pause that ends a burst; 1 ms is nothing to that pause, and cheap for a
    /// daemon that sleeps unless something is hot-plugged.
    fileprivate static let accuracy: UInt64 = 1000

    private let source: EventSource

    fileprivate init(_ source: EventSource) throws(SystemError) {
        self.source = source
        try clear()
    }

    /// Lets it ring at a time of ``EventLoop/now``'s clock; at once if that has passed.
    ///
    /// The corresponding C functions are `sd_event_source_set_time` and
    /// `sd_event_source_set_enabled`.
    func set(at microseconds: UInt64) throws(SystemError) {
        try EventLoop.check("set a timer", source.setTime(microseconds))
        try EventLoop.check("set a timer", source.setEnabled(CInt(SD_EVENT_ONESHOT)))
    }

    /// Keeps it from ringing until it is set again.
    ///
    /// The corresponding C function is `sd_event_source_set_enabled`.
    func clear() throws(SystemError) {
        try EventLoop.check("clear a timer", source.setEnabled(CInt(SD_EVENT_OFF)))
    }
}

/// A closure in the form in which C carries it: a pointer that holds one reference.
private final class Handler {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) {
        self.body = body
    }

    /// Calls the closure; the answer 0 keeps its source alive.
    static func call(_ handler: UnsafeMutableRawPointer?) -> CInt {
        guard let handler = unsafe handler else { return 0 }
        unsafe Unmanaged<Handler>.fromOpaque(handler).takeUnretainedValue().body()
        return 0
    }

    /// Gives up the reference that C held.
    static func release(_ handler: UnsafeMutableRawPointer?) {
        guard let handler = unsafe handler else { return }
        unsafe Unmanaged<Handler>.fromOpaque(handler).release()
    }
}
