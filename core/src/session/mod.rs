//! The MQTT session, sans-IO: inputs and `now` in, effects out.

pub mod effect;
