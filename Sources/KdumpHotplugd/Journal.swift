// SPDX-License-Identifier: Apache-2.0

internal import CSystemd
internal import Glibc

/// The kinds of messages that the daemon sends to the journal, one for each decision.
///
/// The raw value is the MESSAGE_ID. `journalctl -x` uses it to find the explanation in
/// systemd/kdump-hotplugd.catalog. An id never gets another meaning.
enum JournalEntry: String, CaseIterable {
    /// The daemon has made its first look and is at work.
    case started = "8e277c4fc7e94118a59361d920c25dd6"
    /// No crash kernel is loaded; the daemon polls for one.
    case idle = "81610b4b8a2943218228033f6d401cc2"
    /// No crash kernel can be loaded before the next reboot, or the firmware makes the dump.
    case impossible = "c981e545dfa34985a8867c89f693bc7f"
    /// The crash kernel covers the machine, and nothing had to be loaded.
    case current = "fad8adb3940c42ec874063d45abd604a"
    /// The crash kernel was refreshed.
    case refreshed = "2600c549197a42319dadf1a39fe8ead5"
    /// The crash kernel covers the machine, but will not cover it after the next hotplug.
    case atRisk = "c0d157d154cd4d69942f02e9fd41f35f"
    /// It is not known what a crash now would leave.
    case unverified = "9b9a476a59b347cabd8696c0ec7ae0fb"
    /// The image is stale, and the kernel is expected to update it.
    case waiting = "21e0e362495b4d2ebd227ae45b3564cb"
    /// A refresh has to wait for another load; the daemon tries again soon.
    case retry = "7d8b4829298e4f89992d2694254a02ae"
    /// A refresh failed; the old image is still loaded.
    case refreshFailed = "c13ce2cfb444426092e65bc6c84dda45"
    /// A load failed after the kernel dropped the old image: a crash now leaves no dump.
    case unprotected = "4105ccbf72cc48549d0d5d8ff7e7e904"
    /// Nothing is loaded after a load was lost, and an obstacle prevents another one.
    case unprotectedObstacle = "17a36c2bbec34efe8f11c66eea77c3c3"
    /// Nothing could be loaded here, so the distribution's own kdump service is restarted.
    case rescue = "85a15bca84574147a1772ebd9373dfb1"
    /// A refresh is needed, but is not possible until the operator removes an obstacle.
    case obstacle = "969e706a8ca547b1bdfc93db5fed3f7d"
    /// The kernel dropped hotplug events; the daemon checks the machine itself.
    case eventsLost = "f5f7cb7bebff4e339178cf8af8b40bfa"
    /// The daemon cannot save its report and its state.
    case unrecorded = "5cc4286eb94f496bb4881df3bdc4dd45"
    /// The daemon was told to stop; the crash kernel stays as it is.
    case stopping = "d2d24497349340cd93b035957f37d53e"

    /// How much it matters, as a level of syslog(3).
    var priority: CInt {
        switch self {
        case .unprotected, .unprotectedObstacle: LOG_ALERT
        case .refreshFailed, .obstacle, .rescue, .unrecorded: LOG_ERR
        case .atRisk, .unverified, .eventsLost, .retry: LOG_WARNING
        case .started, .idle, .impossible, .refreshed: LOG_NOTICE
        case .current, .waiting, .stopping: LOG_INFO
        }
    }
}

/// Sends messages to the journal.
///
/// It only sends; `Announcement` and `Daemon` choose message and text. Where standard error is not
/// connected to the journal, as in a terminal, the text goes there too.
struct Journal {
    /// The fields that a message may have beside its text.
    enum Field: String, CaseIterable {
        /// How bad the state is: `verdict` of `--check --json`.
        case verdict = "KDUMP_VERDICT"
        /// Why, in one sentence: `summary` of `--check --json`.
        case summary = "KDUMP_SUMMARY"
        /// What was found, in one word.
        case state = "KDUMP_STATE"
        /// How long the machine was unprotected, in microseconds.
        case window = "KDUMP_WINDOW_USEC"
        /// How the crash kernel was refreshed: patch, replay or reload.
        case refresh = "KDUMP_REFRESH"
        /// What prevented a refresh.
        case obstacle = "KDUMP_OBSTACLE"
        /// The error number of a failure; systemd's own name for it.
        case errno = "ERRNO"
    }

    /// One message: its kind, its text, and fields to search for.
    struct Message {
        private let entry: JournalEntry
        private let facts: [(Field, String)]
        private let place: (file: String, line: Int, function: String)
        /// The text.
        let text: String

        /// Creates a message; the compiler fills in the last three arguments.
        init(
            _ entry: JournalEntry, _ text: String, _ facts: [(Field, String)] = [],
            file: String = #fileID, line: Int = #line, function: String = #function
        ) {
            self.entry = entry
            self.text = text
            self.facts = facts
            place = (file, line, function)
        }

        /// The fields of the journal entry, each as `NAME=value`.
        ///
        /// libsystemd (SYSLOG_IDENTIFIER) and the journal add more.
        var fields: [String] {
            [
                "MESSAGE=\(text)",
                "PRIORITY=\(entry.priority)",
                "MESSAGE_ID=\(entry.rawValue)",
                "CODE_FILE=\(place.file)",
                "CODE_LINE=\(place.line)",
                "CODE_FUNC=\(place.function)",
            ] + facts.map { name, value in "\(name.rawValue)=\(value)" }
        }
    }

    /// Whether to write the text to standard error too.
    private let echoes: Bool

    /// Finds out whether standard error leads to the journal.
    ///
    /// The corresponding C functions are `getenv` and `fstat`.
    init() {
        let stream = unsafe getenv("JOURNAL_STREAM").map { unsafe String(cString: $0) }
        var found = stat()
        let known = unsafe fstat(STDERR_FILENO, &found) == 0
        echoes = Journal.echoes(
            stream: stream, standardError: known ? (found.st_dev, found.st_ino) : nil)
    }

    /// Sends a message.
    ///
    /// A failure is not reported: there is nowhere to report it.
    ///
    /// The corresponding C function is `sd_journal_sendv`.
    func send(_ message: Message) {
        unsafe Journal.withVectors(of: message.fields) { vectors in
            guard let base = vectors.baseAddress else { return }
            _ = unsafe sd_journal_sendv(base, CInt(vectors.count))
        }
        if echoes { Journal.echo(message.text) }
    }

    /// Returns whether the text must also go to standard error, which is given by its device and
    /// inode; `nil` if it is closed.
    ///
    /// systemd sets JOURNAL_STREAM to the device and inode of the stream that it connected to the
    /// journal. The variable survives a redirection, so the two must be compared.
    static func echoes(stream: String?, standardError: (device: UInt, inode: UInt)?) -> Bool {
        guard let standardError else { return false }
        return stream != "\(standardError.device):\(standardError.inode)"
    }

    /// Calls `body` with `fields` in the form that writev(2) takes, one vector for each.
    static func withVectors(
        of fields: [String], _ body: (UnsafeBufferPointer<iovec>) -> Void
    ) {
        var bytes = fields.flatMap { Array($0.utf8) }
        unsafe bytes.withUnsafeMutableBytes { bytes in
            var start = 0
            let vectors = unsafe fields.map { field in
                defer { start += field.utf8.count }
                return unsafe iovec(
                    iov_base: bytes.baseAddress.map { unsafe $0 + start },
                    iov_len: field.utf8.count)
            }
            unsafe vectors.withUnsafeBufferPointer { unsafe body($0) }
        }
    }

    /// Writes a line to standard error.
    ///
    /// The corresponding C function is `write`.
    private static func echo(_ text: String) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { bytes in
                unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}
