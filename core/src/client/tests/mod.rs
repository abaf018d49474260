//! Tests of the turn, with real rows.
mod driver;
mod engine;
mod model_broker;
mod pair;
mod life;
