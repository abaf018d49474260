//! Tests of the session alone: rows in memory, packets by hand, time as a number.
mod connection;
mod gaps;
mod hostile_acks;
mod hostile_connect;
mod hostile_incoming;
mod hostile_limits;
mod hostile_resume;
mod hostile_subscribe;
mod inbound;
mod lanes;
mod outbound;
mod parking;
mod poison;
mod rig;
mod rows;
mod waking;
mod words;
