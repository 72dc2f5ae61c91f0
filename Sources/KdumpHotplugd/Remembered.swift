// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What the daemon needs to know after a restart.
///
/// Another version may have written it. A field that cannot be understood is left out; the others
/// are kept.
struct Remembered: Codable, Equatable {
    /// The state of the engine.
    let engine: Engine.SavedState
    /// What a reload loads, for `--check`.
    let source: ImageSource?
    /// Whether it patches; missing in files of older versions.
    let patches: Bool?
    /// The last refresh.
    let lastRefresh: Report.LastRefresh?
    /// What it has counted; missing in files of older versions.
    var tally: Tally?
}

extension Remembered {
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        engine = (try? values.decode(Engine.SavedState.self, forKey: .engine)) ?? .init()
        source = try? values.decode(ImageSource.self, forKey: .source)
        patches = try? values.decode(Bool.self, forKey: .patches)
        lastRefresh = try? values.decode(Report.LastRefresh.self, forKey: .lastRefresh)
        tally = try? values.decode(Tally.self, forKey: .tally)
    }
}
