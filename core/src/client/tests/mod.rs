//! Tests of the turn, with real rows.
mod aging;
mod app;
mod damaged;
mod driver;
mod engine;
mod glance;
mod held;
mod inbox;
mod life;
mod limits;
mod locked;
mod model_broker;
mod outbox;
mod overflow;
mod pair;
mod panics;
mod room;
