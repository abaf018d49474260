//! The native library of this machine, and the sources that speak to it.
//!
//! Library and sources carry checksums of each other, so they are always made together: nothing of them is in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::native::{self, Form, Kind};
use crate::run::{Outcome, copy, root, run, target};
use crate::{How, Language, Profile};

pub(crate) fn generate(language: Language, how: How) -> Outcome {
    let built = native::cargo(how, Kind::Shared, None)?;
    // Its own call, so that its features of uniffi do not reach the library.
    run("cargo", &["build", "--quiet", "--locked", "--package", "homing-bindgen"])?;
    // The one that is not stripped: the generator reads what stripping takes away.
    let library = built.join(native::host_library());
    match language {
        Language::Kotlin => kotlin(&library, how.profile),
        Language::Swift => swift(&library, how),
    }
}

fn generator(name: &str) -> String {
    target().join("debug").join(name).to_string_lossy().into_owned()
}

fn kotlin(library: &Path, profile: Profile) -> Outcome {
    let sources = target().join("bindings/kotlin");
    clear(&sources)?;
    run(
        &generator("uniffi-bindgen"),
        &["generate", &text(library), "--language", "kotlin", "--out-dir", &text(&sources), "--no-format"],
    )?;
    let placed = native::place(library, Form::Jar, &native::host_target()?)?;
    if profile == Profile::Mobile { native::strip_here(&placed) } else { Ok(()) }
}

fn swift(library: &Path, how: How) -> Outcome {
    let package = root().join("ios");
    let (c, sources) = (package.join("Sources/HomingFFI"), package.join("Sources/HomingGenerated"));
    clear(&c)?;
    clear(&sources)?;
    let generator = generator("uniffi-bindgen-swift");
    run(&generator, &[&text(library), &text(&sources), "--swift-sources"])?;
    run(
        &generator,
        &[
            &text(library),
            &text(&c),
            "--headers",
            "--modulemap",
            "--module-name",
            "HomingFFI",
            "--modulemap-filename",
            "module.modulemap",
        ],
    )?;
    let built = native::cargo(how, Kind::Static, None)?;
    copy(&built.join("libhoming_ffi.a"), &package.join("lib/libhoming_ffi.a"))
}

fn clear(folder: &PathBuf) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
