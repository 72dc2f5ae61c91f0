// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// What the engine remembers between looks, and its caller keeps across restarts of a boot.
    package struct SavedState: Hashable, Codable {
        /// The machine as it was when the engine loaded the image that is there; `nil` where the
        /// image is another's.
        package var described: LiveSystem?
        /// Whether a load of ours is under way, or failed after the kernel had dropped the old image.
        ///
        /// A killed process does not even see its load fail: once the signal is pending the kernel
        /// reads no file for it (mm/filemap.c, `filemap_get_pages`), and the old image is gone.
        package var expectsImage = false
        /// Where the running kernel keeps its crash image; costs some ten megabytes to find.
        package var layout: KernelLayout?
        /// The ranges of `crashkernel=…,cma`, where only the kernel's memory tells them; `nil` where they
        /// have not been asked for.
        package var contiguousReserve: AddressRanges?
        /// The `struct kimage` of an image that a patch has failed on; `nil` where none has.
        package var unpatchable: String?
        /// The error number with which `kexec_load` was refused for good; `nil` where it was not.
        package var refusal: Int32?
        /// The digest of an image that was found whole and that covers the core header; `nil`
        /// where no patch would need it.
        package var digest: PurgatoryDigest?
        /// Whether the digest of a patched image has not been computed yet, because newer events came.
        package var owesDigest = false
        /// The command line of the last image that could be read, as its administrator wrote it; `nil`
        /// where that one was unloaded on purpose.
        package var commandLine: String?

        /// Creates the saved state of an engine that has done nothing yet.
        package init() {}

        /// Forgets what only an image that is no longer there can be asked about.
        mutating func forgetImage() {
            described = nil
            digest = nil
            owesDigest = false
        }
    }
}

extension Engine.SavedState {
    /// Reads what there is, field by field.
    ///
    /// Another version may have written it: what it left out or wrote in another form is what an engine
    /// starts with, and all else is kept. Losing ``expectsImage`` would lose the crash kernel.
    package init(from decoder: any Decoder) throws {
        self.init()
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func take<Value: Decodable>(_ key: CodingKeys, _ field: inout Value) {
            if let value = try? values.decode(Value.self, forKey: key) { field = value }
        }
        take(.described, &described)
        take(.expectsImage, &expectsImage)
        take(.layout, &layout)
        take(.contiguousReserve, &contiguousReserve)
        take(.unpatchable, &unpatchable)
        take(.refusal, &refusal)
        take(.digest, &digest)
        take(.owesDigest, &owesDigest)
        take(.commandLine, &commandLine)
    }
}
