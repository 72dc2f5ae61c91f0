// SPDX-License-Identifier: Apache-2.0

import Testing

/// The tests of the daemon's edges: udev, the event loop, systemd, the journal.
///
/// One after the other, because what they are about belongs to the whole process: the environment,
/// signals, and the /sys that libumockdev puts in the place of the real one.
@Suite(.serialized)
enum DaemonTests {}

/// Makes a path of the repository's root and what follows it.
func repository(_ path: String) -> String {
    #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/" + path
}
