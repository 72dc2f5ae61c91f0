// SPDX-License-Identifier: Apache-2.0

/// A load of a whole image by `kexec_load`, of which this program makes every part.
///
/// It is for kernels without `kexec_file_load`, on architectures whose images are simple enough to be
/// made here. What such an image consists of is the architecture's business, and pure; this type reads
/// what goes into it, and loads. Nothing is dropped before `run()`.
struct WholeLoad {
    /// What is loaded, as far as the parts depend on it.
    struct Files {
        /// The first bytes of the kernel's file.
        let kernelHead: [UInt8]
        /// How many bytes the kernel's file has.
        let kernelSize: UInt64
        /// How many bytes the initrd has; `nil` if there is none.
        let initrdSize: UInt64?
        /// The capture kernel's command line, without `elfcorehdr=`.
        let commandLine: String
    }

    /// Where it is loaded, and for which machine.
    struct Place {
        /// The reserved range that it is put into.
        let hole: AddressRange
        /// All reserved ranges.
        let reserved: [AddressRange]
        /// The bytes of the core header.
        let header: [UInt8]
        /// The device tree that the running kernel was started with.
        let tree: [UInt8]
        /// The kernel's page size in bytes.
        let pageSize: UInt64
    }

    /// A part that is made, with zeros behind its bytes.
    struct Part: Equatable {
        let range: AddressRange
        let bytes: [UInt8]
    }

    /// Where all parts of an image are.
    struct Parts: Equatable {
        let kernel: AddressRange
        let initrd: AddressRange?
        let made: [Part]
        /// Where a crash jumps to.
        let entry: UInt64
    }

    private let segments: [Kexec.Segment]
    private let entry: UInt64
    private let architecture: Architecture

    /// Makes an image of two files for a machine.
    ///
    /// - Throws: Why it cannot be made.
    static func prepare(
        _ kernel: ImageFile, _ initrd: ImageFile?, commandLine: String, for seen: Observation,
        below root: SystemRoot
    ) throws(Obstacle) -> WholeLoad {
        let files = Files(
            kernelHead: try kernel.bytes(KernelFormat.prefixSize), kernelSize: kernel.size,
            initrdSize: initrd?.size, commandLine: commandLine)
        let parts: Parts
        do throws(PatchObstacle) {
            guard let make = seen.architecture.wholeImage else {
                throw .architecture(seen.architecture)
            }
            parts = try make(files, try place(for: seen, below: root))
        } catch {
            throw .notMade(because: error.reason)
        }
        var segments = [Kexec.Segment(bytes: try kernel.contents(), range: parts.kernel)]
        if let initrd, let range = parts.initrd {
            segments.append(Kexec.Segment(bytes: try initrd.contents(), range: range))
        }
        for part in parts.made {
            guard let bytes = PinnedBytes(part.bytes) else { throw Obstacle.noMemory }
            segments.append(Kexec.Segment(bytes: bytes, range: part.range))
        }
        return WholeLoad(
            segments: segments, entry: parts.entry, architecture: seen.architecture)
    }

    /// Describes the machine.
    private static func place(
        for seen: Observation, below root: SystemRoot
    ) throws(PatchObstacle) -> Place {
        let header: NewHeader
        let found: (hole: AddressRange, reserved: [AddressRange], tree: [UInt8], page: UInt64)
        do throws(Unknowable) {
            let reserved = try known(seen.reserved)
            guard let hole = seen.crashRange, let pageSize = seen.architecture.patching?.pageSize
            else { throw Unknowable("no memory is reserved for it") }
            let mapping = try Tries.settled { () throws(Unknowable) in
                try Kcore.observe(below: root) { kcore throws(Unknowable) in kcore.mapping }
            }
            guard let mapping else {
                throw Unknowable("/proc/kcore does not tell where the kernel is")
            }
            let tree = try Unknowable.ifFailed { () throws(SystemError) in
                try root.bytes(of: "/sys/firmware/fdt")
            }
            header = NewHeader(
                live: try known(seen.live), notes: try known(seen.notes), mapping: mapping,
                machine: seen.architecture.number)
            found = (hole, reserved, tree, pageSize)
        } catch {
            throw .machineNotKnown(because: error.reason)
        }
        return Place(
            hole: found.hole, reserved: found.reserved, header: try header.header().encoded(),
            tree: found.tree, pageSize: found.page)
    }

    private static func known<Value>(_ fact: Fact<Value>) throws(Unknowable) -> Value {
        switch fact {
        case .known(let value): return value
        case .unknown(let reason): throw Unknowable(reason)
        }
    }

    /// Loads it over whatever is loaded.
    func run() -> Kexec.Attempt {
        Kexec.loadSegments(segments, entry: entry, flags: [0], on: architecture)
    }
}

extension PatchObstacle {
    /// What stands in the way, without the words about a patch.
    fileprivate var reason: String {
        switch self {
        case .imageNotUnderstood(let reason), .machineNotKnown(let reason): reason
        default: description
        }
    }
}
