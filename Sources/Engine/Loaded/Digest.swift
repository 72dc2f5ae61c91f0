// SPDX-License-Identifier: Apache-2.0

internal import COpenSSL

/// A SHA-256 that is being computed, by the system's own libcrypto.
///
/// The only file that knows OpenSSL.
@safe final class Digest {
    private let context: OpaquePointer

    /// How many bytes a digest has.
    static let byteCount = 32

    /// Starts a digest.
    ///
    /// The corresponding C functions are `EVP_MD_CTX_new` and `EVP_DigestInit_ex`.
    /// - Throws: That libcrypto has no SHA-256, which a policy of the system can cause.
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

    /// Finishes the digest and returns it.
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
}
