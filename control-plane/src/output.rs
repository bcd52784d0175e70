//! Weir's output: streams that never block, reports of faults, and text that is inert in a shell and a terminal.

pub(crate) mod advice;
pub(crate) mod decision_file;
pub(crate) mod inert_json;
pub mod report;
pub(crate) mod shell;
pub mod stream;
