// SPDX-License-Identifier: Apache-2.0

extension Kimage {
    /// Where the parts of `struct kimage` lie in the running kernel (include/linux/kexec.h).
    package struct Layout: Hashable, Codable {
        /// How many bytes of the structure hold all that is wanted.
        let byteCount: Int
        /// The entry point.
        let entry: Field
        /// How many segments there are.
        let segmentCount: Field
        /// Where the kernel looks for its next control page.
        let controlPage: Field
        /// What the image is for: 1 is a crash.
        let type: Field
        /// Whether `kexec_file_load` loaded it.
        let isFromFiles: Field?
        /// Whether the kernel keeps it up with hotplug; kernels since 6.10 with that feature.
        let hotplugSupport: Field?
        /// The same for images of `kexec_load`; kernels 6.6 to 6.9 with that feature.
        let headerUpdate: Field?
        /// The array of segments.
        let segments: SegmentLayout

        /// Where the parts of a `struct kexec_segment` lie.
        struct SegmentLayout: Hashable, Codable {
            /// Where in `struct kimage` the first one begins.
            let offset: Int
            /// How far it is from one to the next.
            let stride: Int
            /// How many there are room for.
            let capacity: Int
            /// How many bytes were copied.
            let bufferSize: Field
            /// The physical address.
            let address: Field
            /// How many bytes it takes, the zeros after the copied ones included.
            let memorySize: Field
        }
    }
}

extension Kimage.Layout {
    /// Larger than any `struct kimage` (about 900 bytes) will be.
    private static let largest = 64 << 10

    /// Finds the parts, or returns `nil` where one that is needed is missing.
    init?(in types: BTF) {
        guard let image = StructureLayout("kimage", in: types),
            let entry = image.field("start"),
            let segmentCount = image.field("nr_segments"),
            let controlPage = image.field("control_page"),
            let type = image.field("type"),
            let (offset, capacity, segment) = image.array("segment"),
            let bufferSize = segment.field("bufsz"), let address = segment.field("mem"),
            let memorySize = segment.field("memsz"),
            image.size <= Kimage.Layout.largest, offset <= image.size, segment.size > 0,
            capacity <= (image.size - offset) / segment.size
        else { return nil }
        byteCount = image.size
        self.entry = entry
        self.segmentCount = segmentCount
        self.controlPage = controlPage
        self.type = type
        isFromFiles = image.field("file_mode")
        hotplugSupport = image.field("hotplug_support")
        headerUpdate = image.field("update_elfcorehdr")
        segments = SegmentLayout(
            offset: offset, stride: segment.size, capacity: capacity, bufferSize: bufferSize,
            address: address, memorySize: memorySize)
    }
}
