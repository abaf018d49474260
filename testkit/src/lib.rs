//! Test-only parts: real brokers, hostile brokers, process and kill harness.
