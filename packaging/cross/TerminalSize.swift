// SPDX-License-Identifier: Apache-2.0

// What POWER's <asm/ioctls.h> defines by macros that Swift cannot import: on other architectures these
// are plain numbers. `packaging/cross` compiles this file into the module Glibc.

#if arch(powerpc64le)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Get the size of a terminal's window: `_IOR('t', 104, struct winsize)`.
    public var TIOCGWINSZ: UInt { 0x4008_7468 }
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Set it: `_IOW('t', 103, struct winsize)`.
    public var TIOCSWINSZ: UInt { 0x8008_7467 }
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// Get how many bytes can be read: `_IOR('f', 127, int)`.
    public var FIONREAD: UInt { 0x4004_667F }
#endif
