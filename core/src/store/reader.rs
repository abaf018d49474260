//! Reads a store beside a running driver.
