// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials

/// Facts as JSON: the one place that knows the encoder and its settings.
enum ReportJSON {
    /// Writes a value as one JSON object with sorted keys, so that two runs can be compared.
    static func bytes(of value: some Encodable, pretty: Bool = false) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        // It fails only on numbers that JSON has none for, and no report holds a fraction.
        guard let data = try? encoder.encode(value) else { return Array("{}".utf8) }
        return Array(data)
    }

    /// Reads a value, or returns `nil` if the bytes are not one.
    static func value<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}
