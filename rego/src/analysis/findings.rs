//! The results of the analysis.

use core::ops::Range;
use std::collections::BTreeSet;

use crate::fault::{Fault, Place};
use crate::input_fields::InputFields;

/// The results of the analysis.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// The policy's faults.
    pub(crate) faults: Vec<Fault>,
    /// The fields of the input that the policy reads.
    pub(crate) fields: InputFields,
    /// The headers that the policy reads, in lower case; `None` if they cannot be determined.
    pub(crate) headers: Option<BTreeSet<String>>,
    /// The first form that the VM is not trusted with, and its place.
    pub(crate) interpreter_reason: Option<(Place, &'static str)>,
    /// Lists of the data that are used only for membership tests, as keys below `data`.
    pub(crate) indexed_lists: BTreeSet<Vec<String>>,
    /// Replacements in the policy's text.
    pub(crate) rewrites: Vec<Rewrite>,
    /// The first definition of the answering rule.
    pub(crate) query: Option<Place>,
}

/// A replacement by an equivalent expression.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub(crate) module: usize,
    /// The place, in bytes of the module's text.
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
    /// Whether the replacement corrects the VM; otherwise it only makes the policy cheaper.
    pub(crate) guards: bool,
}
