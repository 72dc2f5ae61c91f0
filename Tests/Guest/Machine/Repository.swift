// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The checkout that these tests were built from.
enum Repository {
    private static let root = URL(filePath: #filePath).appending(path: "../../../..").standardized

    /// The whole path of a file or folder in it.
    static func path(_ relative: String) -> String {
        root.appending(path: relative).path
    }
}
