//! Tests of the session alone: rows in memory, packets by hand, time as a number.
mod connection;
mod hostile_acks;
mod hostile_connect;
mod hostile_incoming;
mod hostile_limits;
mod hostile_resume;
mod hostile_subscribe;
mod inbound;
mod outbound;
mod rig;
mod waking;
