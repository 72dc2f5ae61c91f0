// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// CPU lists in the kernel's form, there and back, and what is not one.
@Suite struct NumberSetTests {
    @Test(arguments: ["", "0", "0-3", "0-3,5", "1,3,5-7", "0,2-65535"])
    func survivesReadingAndWriting(list: String) throws {
        let set = try #require(NumberSet(list: list[...]))
        #expect(set.description == list)
    }

    @Test(arguments: [
        ",", "0,", "-", "1-", "-1", "3-1", "a", "0-3-5", "0 1", " 0", "65536", "0-65536",
        "99999999999999999999", "0-99999999999999999999",
    ])
    func refusesWhatIsNoList(list: String) {
        #expect(NumberSet(list: list[...]) == nil)
    }

    @Test func mergesAndCounts() throws {
        let set = try #require(NumberSet(list: "2,0-1,1"))
        #expect(set.description == "0-2")
        #expect(set.count == 3)
        #expect(set.subtracting(NumberSet([1])).description == "0,2")
    }
}
