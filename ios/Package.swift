// swift-tools-version:6.0
// The Swift package of Homing. A checkout builds it on the native library that `ios/test` puts into `lib`; a release sets
// HOMING_XCFRAMEWORK to a path, or to a URL together with HOMING_XCFRAMEWORK_CHECKSUM, and is built on that.

import PackageDescription

let environment = Context.environment
let framework = environment["HOMING_XCFRAMEWORK"]

let native: Target
if let framework, let checksum = environment["HOMING_XCFRAMEWORK_CHECKSUM"] {
    native = .binaryTarget(name: "HomingFFI", url: framework, checksum: checksum)
} else if let framework {
    native = .binaryTarget(name: "HomingFFI", path: framework)
} else {
    native = .systemLibrary(name: "HomingFFI")
}

// Only a checkout names a folder to link from: Swift takes such flags from a root package alone.
let linked: [LinkerSetting] =
    framework == nil
    ? [.unsafeFlags(["-L\(Context.packageDirectory)/lib"]), .linkedLibrary("homing_ffi")]
    : []
let strict: [SwiftSetting] = framework == nil ? [.unsafeFlags(["-warnings-as-errors"])] : []
let apple: [LinkerSetting] = [
    .linkedFramework("Security", .when(platforms: [.iOS, .macOS])),
    .linkedFramework("SystemConfiguration", .when(platforms: [.iOS, .macOS])),
]

var targets: [Target] = [
    native,
    // Written by uniffi: this compiler asserts on its glue for async callbacks in the mode of Swift 6.
    .target(
        name: "HomingGenerated", dependencies: ["HomingFFI"], swiftSettings: [.swiftLanguageMode(.v5)],
        linkerSettings: linked + apple),
    .target(name: "Homing", dependencies: ["HomingGenerated"], swiftSettings: strict),
    .target(name: "HomingApple", dependencies: ["Homing"], swiftSettings: strict),
]
if framework == nil {
    targets += [
        // A process of its own for the tests: it is killed.
        .executableTarget(name: "HomingChild", dependencies: ["Homing"], path: "Tests/HomingChild", swiftSettings: strict),
        .executableTarget(name: "HomingBenchmark", dependencies: ["Homing"], path: "Benchmarks", swiftSettings: strict),
        .testTarget(
            name: "HomingTests", dependencies: ["Homing", "HomingChild", "HomingGenerated"], swiftSettings: strict),
    ]
}

let package = Package(
    name: "Homing",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "Homing", targets: ["Homing"]),
        .library(name: "HomingApple", targets: ["HomingApple"]),
    ],
    targets: targets,
    swiftLanguageModes: [.v6]
)
