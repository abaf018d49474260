//! Input that does not fit.
