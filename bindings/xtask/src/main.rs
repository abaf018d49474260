//! One command each to generate, build, test and package the Kotlin and Swift libraries: `cargo xtask --help`.

mod generate;
mod maven;
mod native;
mod run;
mod size;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use maven::maven;
use native::Kind;
use run::{Outcome, run};

/// The Kotlin and Swift libraries over the Rust core.
#[derive(Parser)]
#[command(name = "cargo xtask", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  cargo xtask test kotlin                        everything of the JVM and Android, from cold
  cargo xtask generate swift --profile dev       after a change in bindings/ffi, quickly
  cargo xtask native --target aarch64-linux-android
  cargo xtask size                               against the budget in bindings/size-budget.txt";

/// Tells the tests which variant they have.
const ENCRYPTED: &str = "-Dhoming.encryption=true";

#[derive(Subcommand)]
enum Command {
    /// Build the native library for this machine, and write the sources that speak to it
    Generate {
        /// For which language
        language: Language,
        #[command(flatten)]
        how: How,
    },
    /// Generate, and compile the library of a language
    Build {
        /// For which language
        language: Language,
        #[command(flatten)]
        how: How,
    },
    /// Build, check and test the library of a language
    Test {
        /// For which language
        language: Language,
        #[command(flatten)]
        how: How,
    },
    /// Make what is published: jar and AAR, or the XCFramework
    Package {
        /// For which language
        language: Language,
        /// With the native library for encrypted stores
        #[arg(long)]
        encryption: bool,
    },
    /// Build the native library for other systems, and lay it out for jars, AARs and XCFrameworks
    Native {
        /// Rust's name of the target; several may be given. Without one: this machine's
        #[arg(long)]
        target: Vec<String>,
        /// The variant for encrypted stores
        #[arg(long)]
        encryption: bool,
    },
    /// Measure the stripped library against the budget, by part and by feature
    Size {
        /// Also build the encrypted store's variant (minutes)
        #[arg(long)]
        encryption: bool,
    },
}

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct How {
    /// How the native library is built: `mobile` is what is shipped, `dev` is built quickly
    #[arg(long, default_value = "mobile")]
    profile: Profile,
    /// The variant for encrypted stores, minutes to build; `test` runs the tests of such stores alone
    #[arg(long)]
    encryption: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Kotlin,
    Swift,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Mobile,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Outcome {
    match command {
        Command::Generate { language, how } => generate::generate(language, how),
        Command::Build { language: Language::Kotlin, how } => {
            generate::generate(Language::Kotlin, how)?;
            maven(&["package", "-DskipTests"])
        }
        Command::Test { language: Language::Kotlin, how } if how.encryption => {
            generate::generate(Language::Kotlin, How { encryption: false, ..how })?;
            let library = native::cargo(how, Kind::Shared, None)?.join(native::host_library());
            // Beside the plain one, which stays in the jar.
            let library = format!("-Duniffi.component.homing_ffi.libraryOverride={}", library.display());
            maven(&["--projects", "homing", "-Dtest=EncryptedStoreTest", ENCRYPTED, &library, "test"])
        }
        Command::Test { language: Language::Kotlin, how } => {
            generate::generate(Language::Kotlin, how)?;
            maven(&["verify"])
        }
        Command::Build { language: Language::Swift, how } => swift(&["--build-only"], how),
        Command::Test { language: Language::Swift, how } if how.encryption => {
            swift(&["--filter", "EncryptedStoreTests"], how)
        }
        Command::Test { language: Language::Swift, how } => swift(&[], how),
        Command::Package { language: Language::Kotlin, encryption } => {
            generate::generate(Language::Kotlin, How { profile: Profile::Mobile, encryption })?;
            maven(if encryption { &["package", ENCRYPTED] } else { &["package"] })
        }
        Command::Package { language: Language::Swift, encryption } => {
            run("ios/xcframework", if encryption { &["--encryption"] } else { &[] })
        }
        Command::Native { target, encryption } => native::build(&target, encryption),
        Command::Size { encryption } => size::report(encryption),
    }
}

/// The script finds a Swift toolchain, or makes one, and has the sources generated: the root that it makes holds no Rust.
fn swift(what: &[&str], how: How) -> Outcome {
    let profile = if how.profile == Profile::Mobile { "mobile" } else { "dev" };
    let variant: &[&str] = if how.encryption { &["--encryption"] } else { &[] };
    run("ios/test", &[&["--profile", profile], variant, what].concat())
}
