//! uniffi's generator in the version of our lock file; slow to build, so a crate of its own.

fn main() {
    uniffi::uniffi_bindgen_main();
}
