// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What `journalctl -x` prints below each message.
    @Suite struct CatalogTests {
        @Test func everyMessageHasItsParagraphAndEveryParagraphItsMessage() throws {
            let paragraphs = try catalog()
            #expect(paragraphs.map(\.id).sorted() == JournalEntry.allCases.map(\.rawValue).sorted())
            for (_, lines) in paragraphs {
                #expect(lines[0].hasPrefix("Subject: "))
                #expect(lines[1] == "Defined-By: kdump-hotplugd")
                #expect(lines[3].isEmpty && !lines[4].isEmpty)
            }
        }

        /// Operators look a message up by its subject or its id, and filter by its priority.
        @Test func everyMessageHasItsRowInOperations() throws {
            let levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
            let rows = try read(repository("docs/operations.md"))
                .matches(of: #/(?m)^\| ([^|]+) \| ([a-z]+) \| `([0-9a-f]{32})` \| [^|]+ \|$/#)
                .map { "\($0.1), \($0.2), \($0.3)" }
            let known = try catalog().map { id, lines in
                let entry = try #require(JournalEntry(rawValue: id))
                let subject = lines[0].dropFirst("Subject: ".count)
                return "\(subject), \(levels[Int(entry.priority)]), \(id)"
            }
            #expect(rows.sorted() == known.sorted())
        }

        /// journalctl leaves `@FIELD@` standing where the message lacks the field.
        @Test func everyFieldOfAParagraphIsSentWithEveryOfItsMessages() throws {
            let sent = try fieldsOfAnnouncements()
            // These are sent without fields of their own.
            let plain: Set<JournalEntry> = [
                .started, .stopping, .eventsLost, .unrecorded, .rescue,
            ]
            #expect(Set(sent.keys).isDisjoint(with: plain))
            #expect(sent.count + plain.count == JournalEntry.allCases.count)
            var used: Set<String> = []
            for (id, lines) in try catalog() {
                let entry = try #require(JournalEntry(rawValue: id))
                let fields = lines.flatMap { $0.matches(of: /@([A-Z_]+)@/) }.map { String($0.1) }
                #expect(sent[entry, default: []].isSuperset(of: fields), "\(entry)")
                used.formUnion(fields)
            }
            #expect(used.isSuperset(of: ["KDUMP_VERDICT", "KDUMP_WINDOW_USEC"]))
        }

        /// The names of the fields that every announcement of an entry has.
        private func fieldsOfAnnouncements() throws -> [JournalEntry: Set<String>] {
            var sent: [JournalEntry: Set<String>] = [:]
            func note(_ announcement: Announcement) {
                let names = Set(announcement.message.fields.map { String($0.prefix { $0 != "=" }) })
                sent[announcement.entry] = sent[announcement.entry]?.intersection(names) ?? names
            }
            note(Announcement(unreadable: SystemError("open /proc/iomem", errno: 13)))
            for verdict in Combinations.verdicts {
                for isLoaded in [true, false] {
                    let observation = Combinations.observation(isLoaded: isLoaded)
                    let look = Combinations.look(verdict, observation)
                    for ways in Combinations.ways {
                        let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                        for outcome in Combinations.outcomes(look) {
                            note(Announcement(of: outcome, assessment))
                        }
                    }
                }
            }
            return sent
        }

        /// The paragraphs of the catalog by their ids, each from its subject on.
        private func catalog() throws -> [(id: String, lines: [Substring])] {
            try read(repository("systemd/kdump-hotplugd.catalog"))
                .split(separator: #/(?m)^-- /#).dropFirst()
                .map { paragraph in
                    let lines = paragraph.split(separator: "\n", omittingEmptySubsequences: false)
                    return (String(lines[0]), Array(lines[1...]))
                }
        }
    }
}
