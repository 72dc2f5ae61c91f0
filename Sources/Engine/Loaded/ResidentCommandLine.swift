// SPDX-License-Identifier: Apache-2.0

/// The command line of the loaded image: what its loader added, and what may be used to load
/// another.
///
/// It is what the administrator loaded, and so the best that is known. The addresses that a loader
/// adds belong to one image and are taken out: the next loader adds its own.
enum ResidentCommandLine {
    /// The parameter that names the core header.
    static let coreHeader: Substring = "elfcorehdr"
    /// The parameter that names the keys of an encrypted dump target.
    static let targetKeys: Substring = "dmcryptkeys"

    /// Whether the image that `text` belongs to holds the keys of an encrypted dump target.
    ///
    /// The loader adds the parameter when it puts them in (its `crash_load_dm_crypt_keys`).
    static func namesTargetKeys(_ text: String) -> Bool {
        KernelParameters(text).parameters.contains { $0.name == targetKeys }
    }

    /// Returns the administrator's part of `text`.
    static func administrators(_ text: String) -> String {
        var parameters = KernelParameters(text)
        parameters.remove(named: [coreHeader, targetKeys])
        return parameters.line
    }

    /// Returns `text` with the parameters of `needs` appended.
    static func completing(_ text: String, with needs: [CaptureNeed]) -> String {
        ([text] + needs.map(\.parameter)).filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// Returns the address of the core header that `text` names, or `nil` if it names none.
    ///
    /// The form is `elfcorehdr=[size@]address`, each with an optional K, M or G; the last one
    /// counts (kernel/crash_dump.c, `setup_elfcorehdr`).
    static func coreHeader(in text: String) -> UInt64? {
        address(named: coreHeader, in: text)
    }

    /// Returns the address of the keys that `text` names, or `nil` if it names none
    /// (kernel/crash_dump_dm_crypt.c, `setup_dmcryptkeys`).
    static func targetKeys(in text: String) -> UInt64? { address(named: targetKeys, in: text) }

    private static func address(named name: Substring, in text: String) -> UInt64? {
        KernelParameters(text).parameters.last { $0.name == name }?
            .value?.split(separator: "@").last.flatMap(number)
    }

    /// Reads a number as the kernel's `memparse` does: hexadecimal after 0x, with a unit.
    private static func number(_ text: Substring) -> UInt64? {
        let units: [Character: UInt64] = ["K": 10, "M": 20, "G": 30]
        let shift = text.last.flatMap { units[Character($0.uppercased())] }
        var digits = shift == nil ? text : text.dropLast()
        let isHexadecimal = digits.hasPrefix("0x")
        if isHexadecimal { digits = digits.dropFirst(2) }
        guard let number = UInt64(digits, radix: isHexadecimal ? 16 : 10) else { return nil }
        return number << (shift ?? 0)
    }
}
