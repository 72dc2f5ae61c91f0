// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// The part of a report that everybody may read: everything but addresses.
///
/// The kernel hides physical and virtual addresses from unprivileged users (`/proc/iomem`,
/// `/proc/kallsyms`), so a report must hide them, too.
extension Report {
    /// The report without addresses.
    var withoutAddresses: Report {
        var report = self
        let hide: (Range) -> Range = { range in
            var range = range
            range.start = nil
            return range
        }
        report.reserved = reserved?.map(hide)
        if let place = coreHeader?.place { report.coreHeader?.place = hide(place) }
        if let place = deviceTree?.place { report.deviceTree?.place = hide(place) }
        report.memory?.missing = memory?.missing.map(hide) ?? []
        report.memory?.phantom = memory?.phantom.map(hide) ?? []
        report.commandLine = commandLine.map { line in
            CommandLine(
                text: Sentences.withoutAddresses(Report.withoutPlaces(line.text)),
                lacks: line.lacks)
        }
        report.summary = Sentences.withoutAddresses(summary)
        report.obstacles = obstacles.map(Sentences.withoutAddresses)
        report.patchObstacle = patchObstacle.map(Sentences.withoutAddresses)
        report.reload?.obstacle = reload?.obstacle.map(Sentences.withoutAddresses)
        return report
    }

    /// The parameters that contain addresses in some form; loaders add them.
    private static let places: Set<Substring> = [
        "elfcorehdr", "dmcryptkeys", "memmap", "acpi_rsdp",
    ]

    private static func withoutPlaces(_ commandLine: String) -> String {
        var parameters = KernelParameters(commandLine)
        parameters.remove(named: places)
        return parameters.line
    }
}

extension Sentences {
    /// Replaces every hexadecimal number with "(address)": no other number is written that way
    /// here.
    static func withoutAddresses(_ text: String) -> String {
        var (rest, words) = (text[...], "")
        while let zero = rest.firstIndex(of: "0") {
            words += rest[..<zero]
            let number = rest[zero...].dropFirst(2)
            let isHexadecimal = "xX".contains(rest[zero...].dropFirst().first ?? " ")
            if isHexadecimal, number.first?.isHexDigit == true {
                words += "(address)"
                rest = number.drop { $0.isHexDigit }
            } else {
                words += "0"
                rest = rest[zero...].dropFirst()
            }
        }
        return words + rest
    }
}
