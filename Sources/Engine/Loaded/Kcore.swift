// SPDX-License-Identifier: Apache-2.0

/// The machine's memory, by physical and by kernel virtual addresses, through `/proc/kcore`.
///
/// The file is an ELF core of everything the kernel has mapped (fs/proc/kcore.c). Its layout
/// changes when memory comes or goes, so it is opened for each observation, and an observation is
/// void if an entry that it used has moved meanwhile. Memory that comes elsewhere does not matter:
/// while a large DIMM comes, each of its hundreds of blocks changes the layout. Memory that the
/// kernel cannot or may not read appears as zeros and not as an error; the caller has to judge
/// whether zeros can be right. It never writes.
final class Kcore {
    private let file: KernelFile
    private let header: CoreHeader
    /// The entries, by their place in the header, through which something was read.
    private var used: Set<Int> = []

    /// The physical address of an entry that has none (`(elf_addr_t)-1`).
    private static let unmapped = UInt64.max
    /// How much of a large range is read at once, in bytes: one MiB means few calls and little
    /// memory.
    private static let chunkSize = 1 << 20

    private init(below root: SystemRoot) throws(Unknowable) {
        do throws(SystemError) {
            file = try KernelFile("/proc/kcore", below: root)
        } catch {
            throw Kcore.unknowable(error)
        }
        header = try Kcore.header(of: file)
    }

    /// Makes an observation of memory.
    ///
    /// - Throws: What the observation throws, or why memory cannot be read.
    static func observe<Seen>(
        below root: SystemRoot, _ observation: (Kcore) throws(Unknowable) -> Seen
    ) throws(Unknowable) -> Seen {
        let kcore = try Kcore(below: root)
        let seen = Result { () throws(Unknowable) -> Seen in try observation(kcore) }
        // A layout that has changed explains whatever was seen, so it is checked first.
        guard kcore.holds(in: try header(of: kcore.file)) else {
            throw Unknowable(
                "the layout of /proc/kcore keeps changing: memory is being hot-plugged",
                mayPass: true)
        }
        return try seen.get()
    }

    /// Whether all that was read lies in the same places in a later header.
    ///
    /// An entry may have grown: its memory begins where it did. If nothing was read, anything may be
    /// behind that, a layout that keeps changing included.
    private func holds(in later: CoreHeader) -> Bool {
        guard !used.isEmpty else { return later == header }
        return used.allSatisfy { place in
            let entry = header.entries[place]
            return later.entries.contains { other in
                other.kind == .memory && other.offset == entry.offset
                    && other.virtual == entry.virtual && other.physical == entry.physical
                    && other.fileSize >= entry.fileSize
            }
        }
    }

    /// Finds the entry that `isRight`, and notes its use.
    private func entry(where isRight: (CoreHeader.Entry) -> Bool) -> CoreHeader.Entry? {
        let place = header.entries.firstIndex { $0.kind == .memory && isRight($0) }
        return place.map { place in
            used.insert(place)
            return header.entries[place]
        }
    }

    /// Where the running kernel is; `nil` if the file does not tell.
    var mapping: KernelMapping? { KernelMapping(header.entries) }

    /// How many bytes have been read.
    var byteCount: UInt64 { file.byteCount }

    /// Reads `count` bytes at a physical address.
    ///
    /// - Throws: Why they cannot be read.
    func bytes(_ count: Int, at physical: UInt64) throws(Unknowable) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try fill(&bytes, at: physical)
        return bytes
    }

    /// Reads `count` bytes at a virtual address of the kernel.
    ///
    /// - Throws: Why they cannot be read.
    func bytes(_ count: Int, atVirtual address: UInt64) throws(Unknowable) -> [UInt8] {
        let entry = entry { $0.holds(count, at: address, from: $0.virtual) }
        guard let entry else {
            throw Unknowable(
                "/proc/kcore does not map the address \(hexadecimal(address))", mayPass: true)
        }
        var bytes = [UInt8](repeating: 0, count: count)
        try Kcore.fill(&bytes, from: file, at: entry.offset &+ (address - entry.virtual))
        return bytes
    }

    /// Passes the bytes of a range of physical addresses to `body`, part by part.
    ///
    /// - Throws: Why they cannot be read.
    func forEachPart(
        of range: AddressRange, _ body: ([UInt8]) -> Void
    ) throws(Unknowable) {
        var part = [UInt8](repeating: 0, count: Kcore.chunkSize)
        var start = range.start
        while start < range.end {
            let rest = range.end - start
            if rest < UInt64(part.count) { part.removeLast(part.count - Int(rest)) }
            try fill(&part, at: start)
            body(part)
            start += UInt64(part.count)
        }
    }

    private func fill(_ bytes: inout [UInt8], at physical: UInt64) throws(Unknowable) {
        let count = bytes.count
        let entry = entry { entry in
            entry.physical != Kcore.unmapped
                && entry.holds(count, at: physical, from: entry.physical)
        }
        guard let entry else {
            throw Unknowable(
                "/proc/kcore does not contain the memory at \(hexadecimal(physical))", mayPass: true
            )
        }
        try Kcore.fill(
            &bytes, from: file, at: entry.offset &+ (physical - entry.physical))
    }

    private static func fill(
        _ bytes: inout [UInt8], from file: KernelFile, at offset: UInt64
    ) throws(Unknowable) {
        let done: Int
        do throws(SystemError) {
            done = try file.read(into: &bytes, at: offset)
        } catch {
            throw unknowable(error)
        }
        guard done == bytes.count else {
            throw Unknowable("/proc/kcore ends before \(hexadecimal(offset))")
        }
    }

    private static func header(of file: KernelFile) throws(Unknowable) -> CoreHeader {
        var bytes = [UInt8](repeating: 0, count: CoreHeader.fixedSize)
        try fill(&bytes, from: file, at: 0)
        // Which flaw does not matter: nothing can be read then.
        guard let size = try? CoreHeader.byteCount(prefix: bytes) else {
            throw Unknowable("/proc/kcore is not a 64-bit ELF core file")
        }
        bytes = [UInt8](repeating: 0, count: size)
        try fill(&bytes, from: file, at: 0)
        guard let header = try? CoreHeader(bytes) else {
            throw Unknowable("/proc/kcore changed while its header was read", mayPass: true)
        }
        return header
    }

    /// Describes a failed call, and what helps if something does.
    private static func unknowable(_ error: SystemError) -> Unknowable {
        switch error.errno {
        case KernelFile.notPermitted:
            Unknowable(
                "/proc/kcore may not be read: it takes CAP_SYS_RAWIO, and"
                    + " lockdown=confidentiality forbids it to everybody")
        case KernelFile.notThere:
            Unknowable("there is no /proc/kcore: the kernel was built without CONFIG_PROC_KCORE")
        default:
            // For example memory that is gone.
            Unknowable("\(error)", mayPass: true)
        }
    }
}

extension CoreHeader.Entry {
    /// Whether the entry, if it starts at `start`, holds `count` bytes from `address`.
    fileprivate func holds(_ count: Int, at address: UInt64, from start: UInt64) -> Bool {
        address >= start && address - start <= fileSize
            && UInt64(count) <= fileSize - (address - start)
    }
}

/// Returns an address in hexadecimal.
func hexadecimal(_ address: UInt64) -> String { "0x" + String(address, radix: 16) }
