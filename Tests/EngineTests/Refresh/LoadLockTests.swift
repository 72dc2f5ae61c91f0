// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// The lock of the distribution's kdump tool: where it is, who holds it, and how long that is waited
/// for.
@Suite struct LoadLockTests {
    private static let path = "/var/crash/kdump_lock"

    @Test(arguments: [
        (["/usr/sbin/kdump-config": ""], "/var/crash/kdump_lock"),
        (
            [
                "/usr/sbin/kdump-config": "", "/etc/default/kdump-tools": "KDUMP_COREDIR=/srv/c",
            ], "/srv/c/kdump_lock"
        ),
        (
            ["/usr/sbin/kdump-config": "", "/etc/default/kdump-tools": "exit"],
            "/var/crash/kdump_lock"
        ),
        (["/usr/bin/kdumpctl": "", "/etc/kdump.conf": ""], "/run/lock/kdump"),
        (["/usr/lib/kdump/load.sh": ""], "/var/run/kdump.lock"), ([:], nil),
    ])
    func eachFamilyHasItsOwn(files: [String: String], lock: String?) throws {
        let machine = try RecordedMachine(files)
        let family = Configuration.family(below: machine.root, on: .x86)
        #expect(family?.lock == lock)
        withExtendedLifetime(machine) {}
    }

    @Test func oneAtATimeHoldsIt() throws {
        let machine = try RecordedMachine([LoadLockTests.path: ""])
        let attempt = { LoadLock.attempt(LoadLockTests.path, below: machine.root) }
        let first = attempt()
        #expect(name(of: first) == "taken")
        let second = attempt()
        withExtendedLifetime(first) {}
        #expect(name(of: second) == "held")
        if case .held(let holder) = second { #expect(holder.path == LoadLockTests.path) }
        #expect(name(of: LoadLock.attempt("/none", below: machine.root)) == "absent")
    }

    @Test func whatIsReleasedCanBeTaken() throws {
        let machine = try RecordedMachine([LoadLockTests.path: ""])
        for _ in 0..<2 {
            let attempt = LoadLock.attempt(LoadLockTests.path, below: machine.root)
            #expect(name(of: attempt) == "taken")
        }
        // A link may lead to a file that anybody can lock.
        try machine.link("/link", to: machine.root.path(LoadLockTests.path))
        #expect(name(of: LoadLock.attempt("/link", below: machine.root)) == "absent")
    }

    @Test func theHolderIsReadFromTheKernelsList() throws {
        let text = """
            1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF
            2: FLOCK  ADVISORY  WRITE 22 08:01:78 0 EOF
            2: -> FLOCK  ADVISORY  WRITE 23 08:01:77 0 EOF
            3: FLOCK  ADVISORY  WRITE 33 00:1f:77 0 EOF
            4: FLOCK  ADVISORY  WRITE -1 00:1f:79 0 EOF
            5: FLOCK
            """
        #expect(LoadLock.holder(ofInode: 77, in: text) == 33)
        #expect(LoadLock.holder(ofInode: 78, in: text) == 22)
        #expect(LoadLock.holder(ofInode: 79, in: text) == nil)
        #expect(LoadLock.holder(ofInode: 80, in: text) == nil)
    }

    @Test func itIsWaitedForHalfAMinute() throws {
        let machine = try RecordedMachine(
            RecordedMachine.stock.merging([
                "/usr/sbin/kdump-config": "", LoadLockTests.path: "",
            ]) { $1 })
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let attempt = LoadLock.attempt(LoadLockTests.path, below: machine.root)
        for time in [0, 29_999_999] as [UInt64] {
            let outcome = try engine.reconcile(on: .hotplug) { time }
            #expect(name(of: outcome.end) == "held")
        }
        let barred = Engine.End.blocked(
            .notWanted(path: "/etc/default/kdump-tools", variable: "USE_KDUMP"))
        #expect(try engine.reconcile(on: .hotplug) { 30_000_000 }.end == barred)
        withExtendedLifetime(attempt) {}
    }

    @Test func aLockThatIsFreeIsNoObstacle() throws {
        let machine = try RecordedMachine(
            RecordedMachine.stock.merging([
                "/usr/sbin/kdump-config": "", LoadLockTests.path: "",
            ]) { $1 })
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        #expect(name(of: try engine.reconcile(on: .hotplug, now: { 0 }).end) == "blocked")
        let attempt = LoadLock.attempt(LoadLockTests.path, below: machine.root)
        #expect(name(of: attempt) == "taken", "given back")
    }
}
