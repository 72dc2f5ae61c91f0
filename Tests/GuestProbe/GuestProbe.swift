// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The program inside the test guests: marks memory before a crash, finds it again after it.
///
/// It is linked statically, so that the capture kernel's initramfs needs nothing beside it. It decides
/// nothing: it tells the tests outside what it sees, and they compare.
@main
enum GuestProbe {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        do throws(ProbeError) {
            switch arguments.first {
            case "mark":
                try mark(Array(arguments.dropFirst()))
            case "examine":
                try Examination(of: "/proc/vmcore").serve()
            case "watch":
                try watch(Array(arguments.dropFirst()))
            case "crash":
                try LastWords().speakAndCrash()
            default:
                throw .usage
            }
        } catch {
            print("guest-probe: \(error)")
            exit(1)
        }
    }

    private static func watch(_ arguments: [String]) throws(ProbeError) -> Never {
        guard let pause = arguments.first.flatMap({ UInt32($0) }) else { throw .usage }
        let header = arguments.dropFirst().first.flatMap { UInt64($0, radix: 16) }
        try Watch(header: header, pause: pause).run()
    }

    private static func mark(_ arguments: [String]) throws(ProbeError) {
        let numbers = arguments.compactMap { UInt64($0, radix: 16) }
        guard arguments.count == 4, numbers.count == 4 else { throw .usage }
        let range = numbers[0]..<numbers[0] + numbers[1]
        let marking = Marking(inside: range, nonce: numbers[3])
        let pages = try marking.mark(atLeast: Int(numbers[2]))
        print("marked \(runs(of: pages))\nend")
        fflush(nil)
        while true { pause() }
    }
}

/// What can go wrong in a probe; the text is for whoever reads a failed test.
enum ProbeError: Error, CustomStringConvertible {
    case usage
    case system(String, CInt)
    case tooFewPages(Int)
    case notCore(String)

    var description: String {
        switch self {
        case .usage:
            """
            usage: guest-probe mark START LENGTH COUNT NONCE (hexadecimal) | examine
                 | watch PAUSE-IN-MICROSECONDS [HEADER (hexadecimal)] | crash
            """
        case .system(let call, let code):
            "\(call): \(String(cString: strerror(code)))"
        case .tooFewPages(let count):
            "only \(count) pages could be had in that range"
        case .notCore(let why):
            "not an ELF core: \(why)"
        }
    }
}
