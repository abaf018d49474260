//! Tests of the turn, with real rows.
mod driver;
mod model_broker;
mod pair;
