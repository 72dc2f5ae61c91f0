// SPDX-License-Identifier: Apache-2.0

/// What differs between processor architectures, as far as crash kernels go.
///
/// All other code asks this value and names no architecture. The defaults are what is safe if
/// nothing is known: the digest counts as checked, the command line as unknown, and a stale image
/// is reloaded and not patched. Supporting an architecture means replacing defaults in its file.
package struct Architecture: Sendable {
    /// The name, as `uname -m` prints it.
    package let name: String
    /// Its number in ELF files (EM_… of elf.h), which is also what `kexec_load` takes
    /// (KEXEC_ARCH_… of include/uapi/linux/kexec.h); 0 leaves it to the kernel.
    let number: UInt16
    /// Whether an image goes stale when the machine changes.
    var imagesGoStale = true
    /// RAM that no core header needs to list and no hotplug changes.
    var ramOutsideDumps = AddressRanges()
    /// Which part of reserved memory a core header may list.
    var listedReserve = ListedReserve.nothing
    /// Whose purgatory checks the digest at a crash.
    var digestCheck = DigestCheck.always
    /// Whether an image can be found by what it holds, if the kernel does not tell where it keeps
    /// it.
    var imagesAreFoundByContents = false
    /// Whether the pointer to the image can be found by what it points to, if the kernel tells its
    /// types and not its variables.
    var pointersAreFoundByValue = false
    /// Reads from a segment where the image has its command line and its initrd; `nil` if it is not
    /// known how.
    var bootData: (@Sendable (Segment, Kcore) throws(Unknowable) -> BootData?)?
    /// Finds what is resident of an image that the kernel lists, where the image itself tells;
    /// `nil` if it does not become clear.
    var residence:
        (@Sendable (Kimage, Kcore, _ reserved: AddressRanges) throws(Unknowable) -> Residence?)?
    /// Whether core headers may be wrong about the running kernel itself, and are checked for that.
    var headersAreDoubted = false
    /// Says why a capture kernel with a device tree would not come up on the machine below a root;
    /// `nil` if it would, or if nobody knows.
    var treeFlaw: (@Sendable (DeviceTree, SystemRoot) -> String?)?
    /// Reads what a kernel needs from the first bytes of its file, or returns `nil` if
    /// `kexec_file_load` would not accept the file.
    var kernelNeeds: @Sendable (_ prefix: [UInt8]) -> KernelFormat.Needs? = { prefix in
        prefix.isEmpty ? nil : KernelFormat.Needs(memory: 0, commandLineLimit: nil)
    }
    /// How many bytes a load needs in addition to kernel and initrd.
    ///
    /// A core header that can grow (under 1 MiB: 8192 ranges of 56 bytes and a note for each
    /// possible CPU), purgatory, boot data and page tables (together under 1 MiB), and the
    /// alignment of the kernel, 2 MiB.
    var loadOverhead: UInt64 = 4 << 20
    /// What a patch must know; `nil` if images are not patched.
    var patching: Patching?
    /// Makes the parts of a whole image; `nil` where that is left to other programs.
    var wholeImage:
        (@Sendable (WholeLoad.Files, WholeLoad.Place) throws(PatchObstacle) -> WholeLoad.Parts)?

    /// The smallest page there is, in bytes; segments begin and end on multiples of it.
    static let smallestPage: UInt64 = 4096

    /// When the code between the two kernels computes the digest and compares it.
    enum DigestCheck: Sendable {
        /// At each crash.
        case always
        /// Only in images that this loader made; others have no digest, or nothing checks it.
        case onlyInImages(of: Kimage.Loader)
    }

    /// A part of reserved memory that a core header may list, and need not.
    enum ListedReserve: Sendable {
        /// None: the header must leave out all of it.
        case nothing
        /// What is reserved beside the image's own range, below 4 GiB.
        case low
        /// Any of it: something else lies in there, too.
        case anything
    }

    /// A segment of an image, with its first bytes.
    struct Segment {
        /// The physical addresses.
        let range: AddressRange
        /// Its first 4 KiB, or all of a smaller one.
        let head: [UInt8]
    }

    /// Where a capture kernel finds what its loader has prepared for it.
    struct BootData: Equatable {
        /// The physical address of the command line.
        let commandLine: UInt64
        /// How many bytes it may have, its NUL included.
        let longestCommandLine: UInt64
        /// The physical address of the initrd; 0 if there is none.
        let initrd: UInt64
        /// Which files the image was made of; `nil` where that is not known.
        var origin: ImageOrigin?
        /// The CPUs on which the capture kernel can boot, as the firmware numbers them; `nil` if it
        /// can boot on any.
        var bootProcessors: NumberSet?
        /// The memory that it leaves alone until it reads the core header; `nil` if it does not
        /// have to be told.
        var spared: AddressRanges?
        /// Why it cannot use what its loader has prepared; `nil` if it can.
        var flaw: String?
        /// All that its loader has prepared, where that is a device tree.
        var tree: DeviceTree?
        /// The core header with its room; `nil` where the command line names it.
        var coreHeader: AddressRange?
    }

    /// What must be known of an architecture in order to write parts of an image and leave the
    /// rest.
    struct Patching: Sendable {
        /// The kernel's page size in bytes.
        let pageSize: UInt64
        /// How many bytes the kernel may need for its own pages on a machine, in addition to a
        /// multiple of what it took at the last load.
        let controlBytes: @Sendable (LiveSystem) -> UInt64
        /// Makes the edits of the core header, and of anything else that describes the machine.
        ///
        /// The edits of the digest follow from them.
        let draft: @Sendable (Edit.Context) throws(PatchObstacle) -> Draft
        /// What the first patch takes out of the digest beside the core header, given what the
        /// parts are for, what the digest covers, and the reserved range that they are in.
        var leftOut: (@Sendable (Roles, [AddressRange], AddressRange) -> [AddressRange])?
        /// Which pages a kernel writes for itself at a load that lists `listed` in a reserved
        /// range; `nil` if those are all that it takes.
        var written: (@Sendable (_ listed: AddressRanges, _ hole: AddressRange) -> AddressRanges)?
        /// Whether a page of the capture kernel is known to be used by nothing, given its bytes; by
        /// default one of zeros.
        var isUnused: @Sendable (_ page: [UInt8]) -> Bool = { page in page.allSatisfy { $0 == 0 } }
        /// Asks the firmware what a patch must know of the machine; `nil` if it need not.
        var firmware: (@Sendable (SystemRoot) -> Fact<FirmwareDescription>)?
    }
}

extension Architecture {
    /// The memory that a core header may list and need not, for an image that begins at `entry`.
    func unjudged(reserved: [AddressRange], of entry: UInt64) -> AddressRanges {
        switch listedReserve {
        case .nothing: ramOutsideDumps
        case .low:
            ramOutsideDumps.union(AddressRanges(reserved.filter { !$0.holds(entry) }))
        case .anything: ramOutsideDumps.union(AddressRanges(reserved))
        }
    }
}

extension Architecture: Hashable {
    /// Architectures are equal if they have the same name.
    package static func == (left: Architecture, right: Architecture) -> Bool {
        left.name == right.name
    }

    /// Hashes the name.
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension Architecture {
    /// The one that this program was built for.
    package static var current: Architecture {
        #if arch(x86_64)
            .x86
        #elseif arch(arm64)
            .arm64
        #elseif arch(powerpc64le)
            .power
        #elseif arch(s390x)
            .s390x
        #elseif arch(riscv64)
            .riscv64
        #else
            .unknown
        #endif
    }

    /// An architecture of which nothing is known.
    package static let unknown = Architecture(name: "this architecture", number: 0)
}
