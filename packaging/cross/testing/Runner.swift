// SPDX-License-Identifier: Apache-2.0

// The program that runs the cross-built unit tests.

import Testing

@main enum Runner {
    static func main() async { await Testing.__swiftPMEntryPoint() as Never }
}
