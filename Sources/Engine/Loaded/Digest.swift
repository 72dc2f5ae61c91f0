// SPDX-License-Identifier: Apache-2.0

internal import COpenSSL

/// A SHA-256 in the making, by the system's own libcrypto.
///
/// The only place of the program that knows OpenSSL.
@safe final class Digest {
    private let context: OpaquePointer

    /// How many bytes a digest has.
    static let byteCount = 32

    /// Begins a digest.
    ///
    /// The corresponding C functions are `EVP_MD_CTX_new` and `EVP_DigestInit_ex`.
    /// - Throws: That libcrypto has none, which a policy of the system can bring about.
    init() throws(Unknowable) {
        guard let context = unsafe EVP_MD_CTX_new() else {
            throw Unknowable("libcrypto is out of memory")
        }
        unsafe self.context = context
        guard unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            throw Unknowable("libcrypto has no SHA-256")
        }
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    /// Adds `bytes`.
    ///
    /// The corresponding C function is `EVP_DigestUpdate`.
    /// - Throws: That libcrypto failed.
    func add(_ bytes: [UInt8]) throws(Unknowable) {
        let done = unsafe bytes.withUnsafeBytes { bytes in
            unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        }
        guard done == 1 else { throw Unknowable("libcrypto failed to compute a SHA-256") }
    }

    /// Ends the digest and returns it.
    ///
    /// The corresponding C function is `EVP_DigestFinal_ex`.
    /// - Throws: That libcrypto failed.
    func finish() throws(Unknowable) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Digest.byteCount)
        let done = unsafe digest.withUnsafeMutableBytes { bytes in
            unsafe EVP_DigestFinal_ex(
                context, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
        }
        guard done == 1 else { throw Unknowable("libcrypto failed to compute a SHA-256") }
        return digest
    }

    /// A digest over all of some regions, and one over all of them but one.
    struct Pair: Equatable {
        let all: [UInt8]
        let rest: [UInt8]
    }

    /// Returns the digest of `regions` one after the other, as they lie in `kcore`, and the one
    /// without the region that `left` is; `nil` where it gave way.
    ///
    /// Before each part that is read it asks whether it `givesWay` to something more urgent.
    /// - Throws: Why there is none.
    static func of(
        _ regions: [AddressRange], leaving left: AddressRange, in kcore: Kcore,
        givingWay givesWay: () -> Bool
    ) throws(Unknowable) -> Pair? {
        let all = try Digest()
        // Nothing is left out of most images, and then one digest is both.
        let rest = regions.contains(left) ? try Digest() : nil
        for region in regions {
            let isWhole = try kcore.forEachPart(of: region) { part throws(Unknowable) in
                if givesWay() { return false }
                try all.add(part)
                if region != left { try rest?.add(part) }
                return true
            }
            guard isWhole else { return nil }
        }
        let digest = try all.finish()
        return Pair(all: digest, rest: try rest?.finish() ?? digest)
    }
}
