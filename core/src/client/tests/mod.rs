//! Tests of the turn, with real rows.
mod model_broker;
mod pair;
