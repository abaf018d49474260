//! Tests of the turn, with real rows.
mod driver;
mod engine;
mod inbox;
mod model_broker;
mod outbox;
mod pair;
