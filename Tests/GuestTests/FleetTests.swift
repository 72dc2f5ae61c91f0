// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// What other programs learn of a machine: those that fleets are watched with, as Debian ships them.
    @Suite struct FleetTests {
        @Test func `on 6.1 Prometheus raises the alert when a dump would be incomplete`() throws {
            let guest = try exporting()
            let prometheus = try Prometheus(watching: guest, for: "2s")
            let well = try prometheus.wait(
                for: #"kdump_check_state{state="ok"} == 1 and on () kdump_dump_complete == 1"#,
                from: guest)
            print("[guest] \(well)")
            let ratio = try prometheus.wait(for: "job:kdump_dump_complete:ratio == 1", from: guest)
            #expect(ratio.contains(#"job="node""#))
            #expect(try prometheus.query("ALERTS") == "")
            #expect(try prometheus.query("node_textfile_scrape_error == 0") != "")
            // Nothing may load or patch an image any more.
            try guest.expect("sysctl -q kernel.kexec_load_disabled=1")
            try guest.hotAdd(megabytes: 128, id: "dimm")
            try guest.waitUntil("grep -q '\"verdict\":\"CRITICAL\"' /run/kdump-hotplugd/state.json")
            let alert = try prometheus.wait(
                for: #"ALERTS{alertname="KdumpNoDump", alertstate="firing"}"#, from: guest)
            print("[guest] \(alert)")
            let missing = try prometheus.query("kdump_memory_missing_bytes")
            #expect(missing.contains(" 134217728 "), "\(missing)")
            let events = try prometheus.query(
                #"kdump_hotplug_events_total{subsystem="memory"} > 0"#)
            #expect(!events.isEmpty)
            // The numbers go with the daemon, and its directory is no error without them.
            try guest.expect("systemctl stop kdump-hotplugd")
            let absent = try prometheus.wait(
                for: #"ALERTS{alertname="KdumpMetricsAbsent", alertstate="firing"}"#, from: guest)
            print("[guest] \(absent)")
            #expect(try prometheus.query("node_textfile_scrape_error == 0") != "")
        }

        @Test func `on 6.1 what was counted survives the daemon, and its numbers go with it`()
            throws
        {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.hotAdd(megabytes: 128, id: "dimm")
            try guest.waitUntilOK()
            let before = try numbers(guest)
            let loads = try #require(before["kdump_refreshes_total{method=\"patch\"}"])
            #expect(loads >= 1)
            #expect(try #require(before["kdump_unprotected_seconds_total"]) > 0)
            #expect(try #require(before["kdump_hotplug_events_total{subsystem=\"memory\"}"]) > 0)
            #expect(before["kdump_dump_complete"] == 1)
            try expectValidJSON(guest)
            // Killed, it is started again, and counts on.
            try guest.expect("systemctl kill --signal=KILL kdump-hotplugd")
            try guest.waitUntil("[ $(systemctl show -P NRestarts kdump-hotplugd) -ge 1 ]")
            try guest.waitUntilOK()
            for (name, value) in before where name.contains("_total") {
                #expect(try #require(numbers(guest)[name]) >= value, "\(name)")
            }
            let history = try guest.expect("setpriv --reuid=65534 kdump-hotplugd --history")
            print("[guest] \(history)")
            let lines = history.split(separator: "\n")
            // A patch that comes before the memory is online finds it coming.
            #expect(
                lines.contains { $0.contains(/128 MiB (missing|coming)/) && $0.contains("patch") })
            #expect(lines.filter { $0.contains("  start  ") }.count == 2)
            // Nobody starts it again.
            try guest.adjustService("Restart=no")
            try guest.expect("systemctl kill --signal=KILL kdump-hotplugd")
            try guest.waitUntil("[ $(systemctl show -P ActiveState kdump-hotplugd) = failed ]")
            try expectNoNumbers(guest)
            try guest.startDaemon()
            // After two crashes it waits for a moment, and says so.
            try guest.waitUntilOK()
            #expect(try numbers(guest)["kdump_dump_complete"] == 1)
            try guest.expect("systemctl stop kdump-hotplugd")
            try expectNoNumbers(guest)
            #expect(try guest.expect("kdump-hotplugd --history").contains("  stop  "))
        }

        private func expectNoNumbers(_ guest: Machine) throws {
            let left = try guest.expect("ls -A /run/kdump-hotplugd")
            #expect(!left.contains("metrics") && left.contains("history.json"), "\(left)")
        }

        @Test func `on 6.1 the exit codes are those that each program expects`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            func npd() throws -> (status: Int, output: String) {
                try guest.run("setpriv --reuid=65534 kdump-hotplugd --check --exit npd")
            }
            let well = try npd()
            #expect(well.status == 0 && well.output.hasPrefix("OK - "), "\(well.output)")
            let quiet = try guest.check("--quiet")
            #expect(quiet.status == 0 && quiet.output.isEmpty)
            let quick = try guest.check("--quick")
            #expect(quick.status == 0 && quick.output.contains("integrity     unknown"))
            #expect(try guest.check().output.contains("integrity     verified"))
            // The probe of Nagios, as its user runs it.
            let probe = try guest.run("setpriv --reuid=65534 kdump-hotplugd --check | head -n 1")
            #expect(
                probe.output.contains("|missing=0B;;0:0;0 phantom=0B;0:0;;0 cpus_missing=0;;0:0;0"))
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try npd().status == 2)
            // Complete now, and nothing would follow the next hotplug: a warning, and no problem.
            #expect(try guest.check("--quiet").status == 1)
            #expect(try guest.check("--exit npd").status == 0)
            try guest.expect("kexec -p -u")
            let gone = try guest.check("--exit npd")
            #expect(gone.status == 1 && gone.output.utf8.count <= 81, "\(gone.output)")
            #expect(gone.output.split(separator: "\n").count == 1)
        }

        /// The numbers in metrics.prom, as an ordinary user reads them.
        private func numbers(_ guest: Machine) throws -> [String: Double] {
            let text = try guest.expect(
                "setpriv --reuid=65534 cat /run/kdump-hotplugd/metrics.prom")
            let pairs = text.split(separator: "\n").compactMap { line -> (String, Double)? in
                guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "),
                    let value = Double(line[line.index(after: space)...])
                else { return nil }
                return (String(line[..<space]), value)
            }
            return Dictionary(pairs) { first, _ in first }
        }

        /// What the program says on a real machine, to root and to others, keeps to the schemas.
        private func expectValidJSON(_ guest: Machine) throws {
            let user = "setpriv --reuid=65534 kdump-hotplugd"
            for (command, schema) in [
                ("kdump-hotplugd --check --json", "check"), ("\(user) --check --json", "check"),
                ("\(user) --history --json", "history"),
            ] {
                let object = try guest.expect("\(command) | tr -d '\\n'")
                let (process, input, output) = (Process(), Pipe(), Pipe())
                process.executableURL = URL(filePath: repository(".ci/validate-json"))
                process.arguments = [repository("fleet/\(schema).schema.json")]
                (process.standardInput, process.standardOutput) = (input, output)
                try process.run()
                try input.fileHandleForWriting.write(contentsOf: Data(object.utf8))
                try input.fileHandleForWriting.close()
                let said = try output.fileHandleForReading.readToEnd() ?? Data()
                process.waitUntilExit()
                #expect(process.terminationStatus == 0)
                #expect(said.isEmpty, "\(command): \(String(decoding: said, as: UTF8.self))")
            }
        }

        /// A watched guest with a node_exporter of Debian 12, which takes one directory and any number of
        /// names in it, told as docs/fleet.md says.
        private func exporting() throws -> Machine {
            // What is saved for other tests has nothing of this in it.
            _ = try guest(.v6_1, .watched(.kernel))
            let exporter = try Prometheus.packages.get() + "/usr/bin/prometheus-node-exporter"
            let payload = FileManager.default.temporaryDirectory.appending(
                path: "exporter-\(UUID().uuidString)")
            try FileManager.default.createDirectory(
                at: payload, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(at: payload) }
            try FileManager.default.copyItem(
                atPath: exporter, toPath: payload.path + "/node-exporter")
            let guest = try guest(.v6_1, .watched(.kernel)) { $0.payload = payload.path }
            try guest.expect(
                """
                umount /payload; blockdev --flushbufs /dev/vdc; mount -o ro /dev/vdc /payload
                mkdir -p /var/lib/prometheus/node-exporter
                ln -s /run/kdump-hotplugd /var/lib/prometheus/node-exporter-kdump
                setsid -f setpriv --reuid=65534 --regid=65534 --clear-groups /payload/node-exporter \
                --collector.disable-defaults --collector.textfile --collector.uname \
                --collector.textfile.directory='/var/lib/prometheus/node-exporter*' \
                --web.listen-address=127.0.0.1:9100 >/run/exporter.log 2>&1 </dev/null
                """)
            try guest.waitUntil("(exec 3<>/dev/tcp/127.0.0.1/9100) 2>/dev/null")
            return guest
        }
    }
}
