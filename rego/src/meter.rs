//! Steps and memory of the evaluation that runs on this thread.
//!
//! The engines ask a clock whether their time is over. This clock counts the questions, so that the same request ends
//! after the same steps on every machine, and it is over at once when too much memory is held.

use core::cell::Cell;
use core::num::NonZeroU32;
use core::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};

use crate::limits;

/// Says how many bytes the program holds.
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

/// The clock: a nanosecond a question.
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

/// From now on the memory of evaluations on this thread is bounded by what this says.
pub fn count_memory(memory: MemoryInUse) {
    EVALUATION.set(Evaluation { memory: Some(memory), ..EVALUATION.get() });
}

/// Makes the engines ask.
pub(crate) fn install() {
    // Already set means set to this one: nothing else in the program knows the engine.
    let _ = set_time_source(&Steps);
}

/// How an engine asks, every so many steps.
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

/// Whether the evaluation was ended, also where the engine took that for a rule that does not hold.
pub(crate) fn is_over() -> bool {
    EVALUATION.get().over
}
