//! The bypass manual.
