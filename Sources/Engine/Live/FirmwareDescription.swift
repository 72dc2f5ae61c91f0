// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the firmware says of the machine beside its memory, as far as a patch must write it.
struct FirmwareDescription: Equatable {
    /// The CPUs, as nodes of a device tree.
    let processors: [DeviceTree.Node]
    /// The binary logarithm of the size of the page table in bytes, as it is now; `nil` if the machine
    /// has none that is shared by all CPUs, or if the kernel does not say.
    let pageTableOrder: UInt64?
}

extension DeviceTree.Node {
    /// The most that is read of one node with all below it, in bytes: 4096 CPUs have 3 MB.
    private static let largest = 16 << 20

    /// Reads a node of the running machine's device tree, which the kernel shows as a folder with a file
    /// for each property; `path` is absolute on the machine.
    ///
    /// Names ascend, as a program that copies a tree has them. The property `name`, which the kernel adds,
    /// is left out.
    /// - Throws: A `SystemError` if something cannot be read; EFBIG for a node that no machine has.
    init(at path: String, below root: SystemRoot) throws(SystemError) {
        var budget = DeviceTree.Node.largest
        try self.init(at: path, below: root, depth: 0, budget: &budget)
    }

    private init(
        at path: String, below root: SystemRoot, depth: Int, budget: inout Int
    ) throws(SystemError) {
        self.init(name: path.split(separator: "/").last.map(String.init) ?? "")
        let names = root.names(in: path).filter { $0 != "." && $0 != ".." && $0 != "name" }
        for name in names.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
            let place = "\(path)/\(name)"
            budget -= name.utf8.count + 16
            guard budget > 0, depth < DeviceTree.deepest,
                name.utf8.count <= DeviceTree.longestName
            else { throw SystemError("read \(root.path(place))", errno: EFBIG) }
            guard root.isFile(place) else {
                children.append(
                    try DeviceTree.Node(
                        at: place, below: root, depth: depth + 1, budget: &budget))
                continue
            }
            let value = try root.bytes(of: place)
            budget -= value.count
            properties.append(DeviceTree.Property(name: name, value: value))
        }
    }
}
