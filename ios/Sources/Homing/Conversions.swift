// Times, numbers and paths as they cross: whatever an app may give becomes a value or an error, never a trap.

import Foundation

extension Duration {
    /// Whole milliseconds, rounded down, so that a negative time stays one; the ends of the range where it does not fit.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        let rest = attoseconds / 1_000_000_000_000_000
        let whole = attoseconds % 1_000_000_000_000_000 < 0 ? rest - 1 : rest
        let (sum, beyond) = product.addingReportingOverflow(whole)
        return overflow || beyond ? (seconds < 0 ? .min : .max) : sum
    }
}

extension Date {
    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: TimeInterval(milliseconds) / 1_000)
    }

    /// Unix milliseconds; the ends of the range where it does not fit.
    var milliseconds: Int64 {
        let value = (timeIntervalSince1970 * 1_000).rounded(.down)
        // Not a number is no time: as far in the past as can be, where a check meets it.
        guard !value.isNaN else { return .min }
        return Int64(exactly: value) ?? (value < 0 ? .min : .max)
    }
}

/// A number in the width that Rust takes.
func narrow<T: FixedWidthInteger>(_ what: String, _ value: Int, from least: Int = 0) throws(HomingError) -> T {
    guard value >= least, let narrow = T(exactly: value) else {
        throw .invalid("\(what): \(value); \(least) to \(T.max) are taken")
    }
    return narrow
}

/// The path of a store's file.
func path(of store: URL) throws(HomingError) -> String {
    guard store.isFileURL else {
        throw .invalid("store: \(store.scheme ?? "this") is no file URL; URL(fileURLWithPath:) makes one")
    }
    return store.path
}

/// The largest call that is carried to Rust: lengths cross as 32-bit numbers, and longer ones would trap.
let largestCall = 1 << 30

func checkSize(_ bytes: Int) throws(HomingError) {
    guard bytes <= largestCall else {
        throw HomingError(
            code: .payloadTooLarge,
            text: "\(bytes) bytes in one call; at most \(largestCall) are taken: hand over less at a time")
    }
}
