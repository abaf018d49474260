//! The one command for both languages.

fn main() {}
