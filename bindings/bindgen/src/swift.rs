//! uniffi's generator for Swift: sources, C header and module map in one place.

fn main() {
    uniffi::uniffi_bindgen_swift();
}
