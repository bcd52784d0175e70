//! Containment of the engine's own panics.
//!
//! The analysis refuses calls that are known to panic ([`crate::analysis`]), so a panic of the engine is an
//! undiscovered fault. Natively it becomes an error, without output on stderr. The filter aborts on a panic, so the
//! refusals and the tests of every builtin are its only protection.

/// An error for a panic of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs work that may panic.
#[cfg(target_family = "wasm")]
#[allow(clippy::unnecessary_wraps, reason = "natively a panic is an error")]
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    Ok(work())
}

/// Runs work that may panic.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    native::contain(work)
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use core::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::sync::Once;

    use super::Panicked;

    thread_local! {
        static CONTAINED: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let others = take_hook();
            set_hook(Box::new(move |panic| {
                if !CONTAINED.get() {
                    others(panic);
                }
            }));
        });
        let outer = CONTAINED.replace(true);
        // After a panic, the caller must discard whatever the work borrowed.
        let result = catch_unwind(AssertUnwindSafe(work));
        CONTAINED.set(outer);
        result.map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_work_is_done() {
        assert_eq!(contain(|| [1, 2].windows(std::hint::black_box(0)).count()), Err(Panicked));
        assert_eq!(contain(|| 1), Ok(1));
    }
}
