//! Envoy's calls to the module.

use crate::envoy::{self, Envoy};
use crate::held_responses::{HeldResponses, Piece};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use weir_abi::{Action, Filter};
use weir_filter::configuration::Configuration;
use weir_filter::counters::Counters;
use weir_filter::decision_id::DecisionIds;
use weir_filter::hostcalls::CounterId;
use weir_filter::judge::{Judge, Verdict};
use weir_filter::separation::Separations;

/// Response trailers that an upstream must not send. The same holds for its response headers
/// (`control-plane/src/envoy/resources/route.rs`): a client may take trailers for headers (RFC 9110, 6.5.1).
const RESPONSE_TRAILERS_REMOVED: [&[u8]; 2] = [b"alt-svc", b"x-weir-decision"];

thread_local! {
    /// One instance of the module serves all configurations of a worker.
    static IDS: Rc<DecisionIds> = Rc::default();
    /// The pools of upstream connections that Envoy's worker has for single connections of clients.
    static SEPARATIONS: Rc<Separations> = Rc::default();
    /// Defined once: Envoy would keep another handle of each counter for each configuration.
    static COUNTERS: OnceCell<Arc<Counters>> = const { OnceCell::new() };
    /// The judges by the context of their configuration.
    static JUDGES: RefCell<BTreeMap<u32, Rc<Judge>>> = const { RefCell::new(BTreeMap::new()) };
    /// The denied requests whose responses wait for their content.
    static HELD: RefCell<HeldResponses> = RefCell::default();
    /// The newest request, and the context of its configuration. The module keeps earlier requests only in `HELD` and
    /// `SEPARATIONS`: any other forwarded request no longer concerns it.
    static LAST: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Counts bytes, so that an evaluation can end before it fills the memory. A limit of the allocator itself would trap.
#[cfg(feature = "rego")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

weir_abi::export!(Plugin);

struct Plugin;

impl Filter for Plugin {
    fn started() {
        #[cfg(feature = "rego")]
        weir_rego::count_memory(|| ALLOCATOR.allocated());
    }

    fn created(context: u32, parent: u32) {
        if parent == 0 {
            JUDGES.with_borrow_mut(|judges| judges.insert(context, judge(None)));
        } else {
            LAST.set((context, parent));
        }
    }

    /// Returning false rejects the update, and the earlier configuration stays in force.
    fn configured(context: u32, configuration: Vec<u8>) -> bool {
        match Configuration::try_from(configuration) {
            Ok(configuration) => {
                let judge = judge(Some(Arc::new(configuration)));
                JUDGES.with_borrow_mut(|judges| judges.insert(context, judge));
                true
            }
            Err(invalid) => {
                weir_abi::warn(&invalid.to_string());
                false
            }
        }
    }

    fn request_headers(context: u32, is_end: bool) -> Action {
        let (last, parent) = LAST.get();
        // The borrow ends before the request is judged: Envoy may call the module during one of the module's own calls.
        let known = JUDGES.with_borrow(|judges| judges.get(&parent).filter(|_| last == context).cloned());
        let can_hold = HELD.with_borrow(|held| !held.is_full());
        let host = Envoy { context, has_content: !is_end && can_hold, ..Envoy::default() };
        match (known.unwrap_or_else(|| judge(None)).judge(&host), host.held.take()) {
            (Verdict::Continue, _) => Action::Continue,
            (Verdict::Stop, None) => Action::Stop,
            (Verdict::Stop, Some(response)) => {
                let now = weir_abi::time().ok();
                HELD.with_borrow_mut(|held| held.hold(context, response, now));
                Action::StopHeaders
            }
        }
    }

    fn request_content(context: u32, is_end: bool) -> bool {
        match HELD.with_borrow_mut(|held| held.piece(context, is_end, || weir_abi::time().ok())) {
            Piece::Forward => true,
            Piece::Drop(None) => false,
            Piece::Drop(Some(response)) => {
                // Without its response, the denied request waits until it times out.
                if let Err(failure) = envoy::send(&response) {
                    weir_abi::warn(&failure.to_string());
                }
                false
            }
        }
    }

    /// Envoy's routes remove response headers, but cannot remove trailers.
    fn response_trailers() -> bool {
        RESPONSE_TRAILERS_REMOVED.iter().all(|name| weir_abi::remove_response_trailer(name).is_ok())
    }

    fn deleted(context: u32) {
        JUDGES.with_borrow_mut(|judges| judges.remove(&context));
        HELD.with_borrow_mut(|held| held.remove(context));
        SEPARATIONS.with(|separations| separations.end(context, || weir_abi::monotonic_time().ok()));
    }
}

fn judge(configuration: Option<Arc<Configuration>>) -> Rc<Judge> {
    let define = |name: &str| weir_abi::define_counter(name.as_bytes()).ok().map(CounterId);
    let counters =
        COUNTERS.with(|counters| Arc::clone(counters.get_or_init(|| Arc::new(Counters::define(define)))));
    Rc::new(Judge::new(configuration, counters, IDS.with(Rc::clone), SEPARATIONS.with(Rc::clone)))
}
