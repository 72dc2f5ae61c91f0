// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import Glibc
import PackageDescription

/// Where a source archive has the dependency (`make dist`), so that a build of it needs no network.
let vendored = Context.packageDirectory + "/vendor/swift-argument-parser"

/// The one dependency: from the archive, or in a clone from where it is published.
let argumentParser: Package.Dependency =
    access(vendored + "/Package.swift", R_OK) == 0
    ? .package(path: vendored)
    : .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")

/// What every Swift target is compiled with; warnings are errors so that none is ever committed.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// What ships also marks every unsafe expression, so that judgement provably has none.
let shipped: [SwiftSetting] = house + [.strictMemorySafety()]

/// What ships, and the tests of its edges.
let daemon: [Target] = [
    .systemLibrary(name: "CUdev"),
    .systemLibrary(name: "CSystemd"),
    .systemLibrary(name: "CKexec"),
    .systemLibrary(
        name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "Engine", dependencies: ["CKexec", "COpenSSL"], swiftSettings: shipped),
    .executableTarget(
        name: "KdumpHotplugd",
        dependencies: [
            "CUdev", "CSystemd", "Engine",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: shipped
    ),
    .systemLibrary(
        name: "CUmockdev", path: "Tests/CUmockdev", pkgConfig: "umockdev-1.0",
        providers: [.apt(["libumockdev-dev"])]),
    .testTarget(
        name: "DaemonTests", dependencies: ["CUmockdev", "Engine", "KdumpHotplugd"],
        swiftSettings: house),
]

/// All other tests, and the programs that show, measure and prove.
let others: [Target] = [
    .testTarget(name: "EngineTests", dependencies: ["Engine"], swiftSettings: house),
    .systemLibrary(
        name: "CKdumpfile", path: "Tests/CKdumpfile", pkgConfig: "libkdumpfile",
        providers: [.apt(["libkdumpfile-dev"])]),
    // What guest-probe, which is not built by this package, and tests outside must agree on.
    .target(name: "MarkedPage", path: "Tests/MarkedPage", swiftSettings: house),
    .target(name: "Guest", path: "Tests/Guest", exclude: ["image"], swiftSettings: house),
    .testTarget(
        name: "GuestTests", dependencies: ["CKdumpfile", "Guest", "MarkedPage"],
        swiftSettings: house),
    .executableTarget(
        name: "Demo", dependencies: ["Guest"], path: "Tests/Demo", swiftSettings: house),
    .executableTarget(
        name: "Bench", dependencies: ["Guest"], path: "Tests/Bench", exclude: ["report"],
        swiftSettings: house),
    .executableTarget(
        name: "Prove", dependencies: ["Guest"], path: "Tests/Prove", exclude: ["open"],
        swiftSettings: house),
    // Its numbers count only if it is built for release, where the engine's inside is testable only on
    // demand: `make bench` does that.
    .executableTarget(
        name: "Size", dependencies: ["Engine"], path: "Tests/Size", swiftSettings: house),
    .testTarget(name: "BenchTests", dependencies: ["Bench"], swiftSettings: house),
]

/// `make test-leaks` builds the daemon and the tests of its edges alone: `swift build --build-tests`
/// builds all targets there are, under AddressSanitizer for minutes.
let isDaemonOnly = Context.environment["KDUMP_HOTPLUGD_TARGETS"] == "daemon"

let package = Package(
    name: "kdump-hotplugd",
    products: [
        .executable(name: "kdump-hotplugd", targets: ["KdumpHotplugd"])
    ],
    dependencies: [argumentParser],
    targets: isDaemonOnly ? daemon : daemon + others,
    swiftLanguageModes: [.v6]
)
