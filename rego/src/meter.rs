//! Limits on the steps and the memory of the evaluation on this thread.
//!
//! The engines read a clock to see whether their time is over. This clock counts its readings, so that a request ends
//! after equal steps on every machine. It also ends an evaluation at once when that holds too much memory.

use core::cell::Cell;
use core::num::NonZeroU32;
use core::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};

use crate::limits;

/// Returns the number of bytes that the program holds.
pub type MemoryInUse = fn() -> usize;

#[derive(Clone, Copy)]
struct Evaluation {
    steps: u64,
    over: bool,
    memory: Option<MemoryInUse>,
    memory_at_start: usize,
}

thread_local! {
    static EVALUATION: Cell<Evaluation> =
        const { Cell::new(Evaluation { steps: 0, over: false, memory: None, memory_at_start: 0 }) };
}

/// A clock that counts its readings. It expires when a limit is exceeded.
struct Steps;

impl TimeSource for Steps {
    fn now(&self) -> Option<Duration> {
        let mut evaluation = EVALUATION.get();
        evaluation.steps = evaluation.steps.saturating_add(1);
        let held = evaluation.memory.map_or(0, |memory| memory().saturating_sub(evaluation.memory_at_start));
        evaluation.over |= held > limits::MEMORY_BYTES || evaluation.steps > limits::STEPS as u64;
        EVALUATION.set(evaluation);
        Some(if evaluation.over { Duration::MAX } else { Duration::ZERO })
    }
}

/// Sets the function that measures memory for evaluations on this thread.
pub fn count_memory(memory: MemoryInUse) {
    EVALUATION.set(Evaluation { memory: Some(memory), ..EVALUATION.get() });
}

/// Makes the engines read this clock.
pub(crate) fn install() {
    // The call fails only if this clock was installed before: no other code sets the engine's clock.
    let _ = set_time_source(&Steps);
}

/// The configuration of an engine that reads the clock each time after this many steps.
pub(crate) fn timer(steps: u32) -> ExecutionTimerConfig {
    ExecutionTimerConfig {
        limit: Duration::from_nanos(1),
        check_interval: NonZeroU32::new(steps).unwrap_or(NonZeroU32::MIN),
    }
}

/// Starts an evaluation.
pub(crate) fn start() {
    let memory = EVALUATION.get().memory;
    let memory_at_start = memory.map_or(0, |memory| memory());
    EVALUATION.set(Evaluation { steps: 0, over: false, memory, memory_at_start });
}

/// Returns whether the evaluation exceeded a limit, even if the engine treated that as a rule that does not hold.
pub(crate) fn is_over() -> bool {
    EVALUATION.get().over
}
