//! The native library for each system, and where jars, AARs and XCFrameworks want it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Profile;
use crate::run::{Outcome, copy, output, perform, run, target};

/// How a target's library travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a jar, in the folder where JNA looks.
    Jar,
    /// In an AAR, by ABI.
    Aar,
    /// Linked into an app, by way of an XCFramework.
    Static,
}

/// A system that is shipped for.
pub(crate) struct System {
    target: &'static str,
    form: Form,
    /// JNA's name of the system, Android's of the ABI, or ours.
    folder: &'static str,
}

const SYSTEMS: &[System] = &[
    System { target: "x86_64-unknown-linux-gnu", form: Form::Jar, folder: "linux-x86-64" },
    System { target: "aarch64-unknown-linux-gnu", form: Form::Jar, folder: "linux-aarch64" },
    System { target: "x86_64-apple-darwin", form: Form::Jar, folder: "darwin-x86-64" },
    System { target: "aarch64-apple-darwin", form: Form::Jar, folder: "darwin-aarch64" },
    System { target: "x86_64-pc-windows-msvc", form: Form::Jar, folder: "win32-x86-64" },
    System { target: "aarch64-linux-android", form: Form::Aar, folder: "arm64-v8a" },
    System { target: "armv7-linux-androideabi", form: Form::Aar, folder: "armeabi-v7a" },
    System { target: "x86_64-linux-android", form: Form::Aar, folder: "x86_64" },
    System { target: "aarch64-apple-ios", form: Form::Static, folder: "ios-arm64" },
    System { target: "aarch64-apple-ios-sim", form: Form::Static, folder: "ios-arm64-simulator" },
    System { target: "x86_64-apple-ios", form: Form::Static, folder: "ios-x86_64-simulator" },
];

/// Android 15 loads libraries on devices with pages of 16 KiB only if they are laid out for them.
const ANDROID_PAGES: &str = "-C link-arg=-Wl,-z,max-page-size=16384";
/// The oldest Android that is supported (8.0).
const ANDROID_API: &str = "26";

/// Builds for these targets; without one, for this machine.
pub(crate) fn build(targets: &[String]) -> Outcome {
    let here = [host_target()?];
    for name in if targets.is_empty() { &here } else { targets } {
        let system = system(name)?;
        if system.form != Form::Static {
            let built = cargo(Profile::Mobile, Kind::Shared, Some(system))?;
            place(&built.join(shared_library(system)), system.form, name)?;
        }
        if name.contains("-apple-") {
            let built = cargo(Profile::Mobile, Kind::Static, Some(system))?;
            place(&built.join("libhoming_ffi.a"), Form::Static, name)?;
        }
    }
    Ok(())
}

fn system(target: &str) -> Outcome<&'static System> {
    let known = || SYSTEMS.iter().map(|system| system.target).collect::<Vec<_>>().join(", ");
    SYSTEMS
        .iter()
        .find(|system| system.target == target)
        .ok_or_else(|| format!("target {target} is not shipped for; known are {}", known()))
}

/// Which of the crate's forms is built: one at a time, for beside a Rust library cargo leaves out link-time optimization,
/// and the library is a third larger (5.5 MB in place of 4.1).
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Shared,
    Static,
}

/// Builds the crate; the folder where the library lies. For a named system what only debuggers read is left out; without one it
/// stays, for the generator reads it.
pub(crate) fn cargo(profile: Profile, kind: Kind, system: Option<&System>) -> Outcome<PathBuf> {
    let name = if profile == Profile::Mobile { "mobile" } else { "dev" };
    let kind = if matches!(kind, Kind::Shared) { "cdylib" } else { "staticlib" };
    let mut command = Command::new("cargo");
    command.args(["rustc", "--locked", "--package", "homing-ffi", "--profile", name, "--crate-type", kind]);
    if system.is_some() {
        command.args(["--config", "profile.mobile.strip=\"symbols\""]);
    }
    let mut folder = target();
    if let Some(system) = system.filter(|system| Some(system.target) != host_target().ok().as_deref()) {
        command.args(["--target", system.target]);
        folder.push(system.target);
        match system.target {
            target if system.form == Form::Aar => android(&mut command, target)?,
            "aarch64-unknown-linux-gnu" => linux_aarch64(&mut command)?,
            _ => {}
        }
    }
    perform("cargo", command)?;
    Ok(folder.join(if profile == Profile::Mobile { "mobile" } else { "debug" }))
}

/// The NDK's compiler links, and compiles SQLite.
fn android(command: &mut Command, target: &str) -> Outcome {
    let ndk = std::env::var("ANDROID_NDK_HOME")
        .map_err(|_| "ANDROID_NDK_HOME is not set: the folder of an Android NDK, 27 or newer".to_owned())?;
    let host = if cfg!(target_os = "macos") { "darwin-x86_64" } else { "linux-x86_64" };
    let bin = Path::new(&ndk).join("toolchains/llvm/prebuilt").join(host).join("bin");
    let prefix = target.replace("armv7-linux", "armv7a-linux");
    let clang = bin.join(format!("{prefix}{ANDROID_API}-clang"));
    if !clang.exists() {
        return Err(format!("{} is missing: take an Android NDK, 27 or newer", clang.display()));
    }
    let variable = target.replace('-', "_");
    command
        .env(format!("CC_{variable}"), &clang)
        .env(format!("AR_{variable}"), bin.join("llvm-ar"))
        .env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), &clang)
        .env(format!("CARGO_TARGET_{}_RUSTFLAGS", variable.to_uppercase()), ANDROID_PAGES);
    Ok(())
}

/// Debian's cross compiler, under the name that it has there.
fn linux_aarch64(command: &mut Command) -> Outcome {
    const GCC: &str = "aarch64-linux-gnu-gcc";
    output(GCC, &["--version"])?;
    command.env("CC_aarch64_unknown_linux_gnu", GCC).env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", GCC);
    Ok(())
}

/// Puts a library where its package takes it from; where that is.
pub(crate) fn place(library: &Path, form: Form, target_name: &str) -> Outcome<PathBuf> {
    let folder = system(target_name)?.folder;
    let name = library.file_name().ok_or_else(|| format!("{} is no file", library.display()))?;
    let kind = match form {
        Form::Jar => "native",
        Form::Aar => "android",
        Form::Static => "apple",
    };
    let placed = target().join("bindings").join(kind).join(folder).join(name);
    copy(library, &placed)?;
    Ok(placed)
}

/// Leaves what the loader needs. Windows keeps the rest in a file of its own.
pub(crate) fn strip_here(library: &Path) -> Outcome {
    if cfg!(windows) {
        return Ok(());
    }
    let flag = if cfg!(target_os = "macos") { "-x" } else { "--strip-unneeded" };
    run("strip", &[flag, &library.to_string_lossy()])
}

fn shared_library(system: &System) -> &'static str {
    match system.target {
        target if target.contains("windows") => "homing_ffi.dll",
        target if target.contains("apple") => "libhoming_ffi.dylib",
        _ => "libhoming_ffi.so",
    }
}

/// This machine's library.
pub(crate) fn host_library() -> String {
    format!("{}homing_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// This machine, in Rust's words.
pub(crate) fn host_target() -> Outcome<String> {
    let version = output("rustc", &["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}
