// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// What the engine remembers between looks, and its caller keeps across restarts of a boot.
    package struct SavedState: Hashable, Codable {
        /// The machine for which the engine loaded the present image; `nil` if another program
        /// made it.
        package var described: LiveSystem? { didSet { describedImage = nil } }
        /// The kernel's list of that image, once it has been seen.
        var describedImage: String?
        /// Whether a load of ours is under way, or failed after the kernel had dropped the old
        /// image.
        ///
        /// A killed process does not even see its load fail: with the signal pending, the kernel
        /// reads no file for it (mm/filemap.c, `filemap_get_pages`), and the old image is gone.
        package var expectsImage = false
        /// Where the running kernel keeps its crash image; finding it means reading some 10 MB.
        package var layout: KernelLayout?
        /// The ranges of `crashkernel=…,cma`, if only the kernel's memory has them; `nil` if they have not
        /// been read.
        package var contiguousReserve: AddressRanges?
        /// The image on which a patch has failed; `nil` if none has.
        package var unpatchable: String?
        /// The error number with which `kexec_load` was refused for good; `nil` if it was not.
        package var refusal: Int32?
        /// A verdict that a reload did not change; `nil` if there is none.
        ///
        /// Another reload would not change it either, until the machine or what is loaded changes.
        package var uncured: Verdict?
        /// The usual windows of loads on this machine, in microseconds.
        package var windows: [Loads.Kind: UInt64] = [:]
        /// Which files the kernel takes, and which it refuses.
        var trials = Trials()
        /// Whether the kernel has turned out to have no `kexec_file_load`.
        var loadsNoFiles = false
        /// What lay in reserved memory before a load that may have lost it; `nil` if there was none.
        var books: Replay.Books?
        /// The digest of an image that was found whole, if it covers the core header; `nil` if no
        /// patch would need it.
        package var digest: PurgatoryDigest?
        /// Whether the digest of the image is still to be computed.
        package var owesDigest = false
        /// The command line of the last image that could be read, as the administrator wrote it;
        /// `nil` if that image was unloaded on purpose.
        package var commandLine: String?

        /// Creates the saved state of an engine that has done nothing yet.
        package init() {}

        /// Forgets what was known of an image that is no longer there.
        mutating func forgetImage() {
            described = nil
            digest = nil
            owesDigest = false
        }
    }
}

extension Engine.SavedState {
    /// Reads a saved state field by field.
    ///
    /// Another version may have written it. A field that is missing or has another form starts
    /// afresh; the others are kept. Losing ``expectsImage`` would lose the crash kernel.
    package init(from decoder: any Decoder) throws {
        self.init()
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func take<Value: Decodable>(_ key: CodingKeys, _ field: inout Value) {
            if let value = try? values.decode(Value.self, forKey: key) { field = value }
        }
        take(.described, &described)
        take(.describedImage, &describedImage)
        take(.expectsImage, &expectsImage)
        take(.layout, &layout)
        take(.contiguousReserve, &contiguousReserve)
        take(.unpatchable, &unpatchable)
        take(.refusal, &refusal)
        take(.uncured, &uncured)
        take(.windows, &windows)
        take(.trials, &trials)
        take(.loadsNoFiles, &loadsNoFiles)
        take(.books, &books)
        take(.digest, &digest)
        take(.owesDigest, &owesDigest)
        take(.commandLine, &commandLine)
    }
}
