// SPDX-License-Identifier: Apache-2.0

// The module Foundation of cross-built unit tests: they take nothing of it that is not essential, and
// what it passes on of the C library.

@_exported public import FoundationEssentials
@_exported public import Glibc
