//! The command line of Homing.
fn main() {}
