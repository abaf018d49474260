//! Tests of the turn, with real rows.
mod aging;
mod app;
mod counters;
mod driver;
mod engine;
mod glance;
mod held;
mod inbox;
mod life;
mod limits;
mod model_broker;
mod outbox;
mod overflow;
mod pair;
mod room;
