//! Tests of the session alone: rows in memory, packets by hand, time as a number.
mod connection;
mod inbound;
mod outbound;
mod rig;
