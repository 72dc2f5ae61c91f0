// SPDX-License-Identifier: Apache-2.0

extension Kimage {
    /// Where the fields of `struct kimage` are in the running kernel (include/linux/kexec.h).
    package struct Layout: Hashable, Codable {
        /// The size of the structure in bytes.
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
        /// Whether the kernel updates it itself after a hotplug; kernels since 6.10 with that
        /// feature.
        let hotplugSupport: Field?
        /// The same for images of `kexec_load`; kernels 6.6 to 6.9 with that feature.
        let headerUpdate: Field?
        /// The array of segments.
        let segments: SegmentLayout

        /// Where the fields of a `struct kexec_segment` are.
        struct SegmentLayout: Hashable, Codable {
            /// The offset of the first one in `struct kimage`.
            let offset: Int
            /// The distance from one to the next.
            let stride: Int
            /// How many there is room for.
            let capacity: Int
            /// How many bytes were copied.
            let bufferSize: Field
            /// The physical address.
            let address: Field
            /// How many bytes it takes, including the zeros after the copied ones.
            let memorySize: Field
        }
    }
}

extension Kimage.Layout {
    /// Larger than any `struct kimage` (about 900 bytes) will be.
    private static let largest = 64 << 10

    /// Finds the fields, or returns `nil` if a necessary one is missing.
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
