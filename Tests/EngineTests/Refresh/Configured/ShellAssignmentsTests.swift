// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Files of shell assignments: read as the real shells read them, or refused.
@Suite struct ShellAssignmentsTests {
    private static func read(_ text: String) throws(ShellAssignments.Flaw) -> [String: String] {
        try ShellAssignments(Array(text.utf8), vocabulary: ["A", "B"]).values
    }

    /// Legal, and each unusual in its way.
    static let legal = [
        "", "\n\n# nothing\n", "A=x", "A=", "A='' B=\"\"", "A=x # y\nB=z", "A=x#y", "A=x;B=y ; # z",
        "\tA=1  B=$A\n", "A='a b'\"c d\"e\\ f", "A='it'\\''s'", "A=\"a\\\"b\\$c\\\\d\\`e\\f\"",
        "A='$B `c` \\'", "A=\"two\nlines\"", "A=\"a\\\nb\"\nB=1", "A=a\\\nb", "A=a\\\n  B=c",
        "A=x\\\n",
        "A=1\nB=\"$A ${A}${A}\"", "B=${A:-x y}z", "B=\"${A:-x y}\"", "A=1\nB=${A:-2}", "B=${A:-}",
        "A=$B", "A=\"$B\"", "export A=1", "export A=1 B='2 3'\n", "A=1\nexport A",
        "export\tA=1;B=2",
        "export A=\"$B x\"", "A=*?[a]{b,c}", "A=a=b:c", "A=/boot/vmlinuz-6.1~rc1", "A=\"~\" B='~'",
        "A=é B=\"ü$A\"", "A=x\r\n", "A=\\$B", "A=\\é", "A='\n#\n'", "A=a%b!c^d,e@f", "_A1=x A=$_A1",
        "A=x\\\n#y", "# a comment \\\nA=1", "A=1;\n", "A=1}", "A=\"'\" B='\"'",
        "A=\"#\" B=\\#c", "A=${B}$B\"${B}\"x", "  \\\n A=1", "A=1 \\\n # c\nB=2", "A=\"\\\n\"",
    ]

    /// What is refused, and the line that is named.
    static let foreign: [(String, Int)] = [
        ("A=$(x)", 1), ("\nA=`x`", 2), ("A=\"`x`\"", 1), ("A=\"$(x)\"", 1), ("A=$((1))", 1),
        ("A=1\n\nif true", 3), (". /etc/x", 1), ("source x", 1), ("A=1 x", 1), ("x A=1", 1),
        ("A=1 & B=2", 1), ("A=1 && B=2", 1), ("A=1 | x", 1), ("A=1 >x", 1), ("A=x>y", 1),
        ("A=(1)", 1),
        ("A+=1", 1), ("A[0]=1", 1), ("A ()", 1), ("A=~/x", 1), ("A=a:~/x", 1), ("A=$1", 1),
        ("A=$$", 1),
        ("A=$?", 1), ("A=$", 1), ("A=\"x$\"", 1), ("A=$'x'", 1), ("A=$\"x\"", 1), ("A=${B-x}", 1),
        ("A=${B#x}", 1), ("A=${#B}", 1), ("A=${B:-$A}", 1), ("A=${B:-'x'}", 1), ("A=${B", 1),
        ("A=$C", 1), ("A=${HOME}", 1), ("\n\nA='x\ny", 3), ("A=\"x\ny", 1), ("A=x\\", 1),
        (";A=1", 1),
        ("A=1;;B=2", 1), ("export A=$B", 1), ("export A=*", 1), ("export A={a,b}", 1),
        ("export", 1),
        ("export -p", 1), ("export ;", 1), ("readonly A=1", 1), ("unset A", 1), ("IFS=x", 1),
        ("RANDOM=1", 1), ("BASH_ENV=x", 1), ("PATH=/x", 1), ("1A=x", 1), ("A-B=x", 1),
        ("\"A\"=x", 1),
        ("{ A=1; }", 1), ("A=$B\\\nC", 1), ("A\\\nB=1", 1), ("\u{FEFF}A=1", 1), ("é=1", 1),
        ("A=1\nB=2 export C=3", 2), ("! A=1", 1), ("A =1", 1), ("A=<x", 1), ("[ A = 1 ]", 1),
    ]

    @Test(arguments: legal) func legalTextIsReadAsByShells(text: String) throws {
        _ = try ShellAssignmentsTests.read(text)
        for shell in RealShell.all { try expectSame([text], shell) }
    }

    @Test(arguments: foreign) func foreignTextIsRefused(text: String, line: Int) throws {
        let flaw = failure { () throws(ShellAssignments.Flaw) in
            try ShellAssignmentsTests.read(text)
        }
        #expect(flaw?.line == line)
    }

    /// Whatever is thrown together of the characters that mean something: the same, or refused.
    @Test(arguments: RealShell.all) func noiseIsNeverReadOtherwise(shell: RealShell) throws {
        let pieces = [
            "A=", "B=", "A=", "x", "y1", " ", "\n", "'", "'", "\"", "\"", "\\", "$A", "${B}", "$",
            "${A:-x y}", "${B:-}", "#", ";", "export ", "~", ":", "=", "`", "(", ")", "{", "}", "*",
            "é", "\t", "\\\n", "$(x)", "[", "]", "!", "%", "/", ",", "-", "\r", "?", "^",
        ]
        var generator = Repeatable(6)
        let texts = (0..<6_000).map { _ in
            (0..<Int.random(in: 1...9, using: &generator))
                .reduce("A=") { text, _ in text + (pieces.randomElement(using: &generator) ?? "") }
        }
        let accepted = texts.filter { (try? ShellAssignmentsTests.read($0)) != nil }
        // Too few would prove nothing.
        #expect(accepted.count > 1_000)
        try expectSame(accepted, shell)
    }

    private func expectSame(_ texts: [String], _ shell: RealShell) throws {
        let names = ["A", "B", "_A1"]
        let told = try shell.values(of: names, after: texts)
        for (text, told) in zip(texts, told) {
            let values = try ShellAssignmentsTests.read(text).filter { names.contains($0.key) }
            #expect(told == values, "\(shell.name) after \(text.debugDescription)")
        }
    }

    @Test func valuesCannotGrowWithoutEnd() {
        let doubling = "A=0123456789abcdef\n" + String(repeating: "A=$A$A\n", count: 60)
        #expect(throws: ShellAssignments.Flaw.self) { try ShellAssignmentsTests.read(doubling) }
        let long = "A=" + String(repeating: "x", count: 70_000)
        #expect(throws: ShellAssignments.Flaw.self) { try ShellAssignmentsTests.read(long) }
    }

    @Test func bytesThatAreNoTextAreRefused() {
        for bytes in [[0x41, 0x3D, 0xFF], [0x41, 0x3D, 0], [0x41, 0x3D, 0xC3]] as [[UInt8]] {
            #expect(throws: ShellAssignments.Flaw.self) {
                try ShellAssignments(bytes, vocabulary: [])
            }
        }
    }

    @Test func whatIsAlreadySetIsKeptUntilItIsSet() throws {
        let file = try ShellAssignments(
            Array("B=$A.".utf8), vocabulary: [], already: ["A": "x", "C": "y"])
        #expect(file["A"] == "x" && file["B"] == "x." && file["C"] == "y" && file["D"] == "")
    }
}
