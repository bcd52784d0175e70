//! Every bound of a Rego evaluation in one place.
//!
//! Within one evaluation a value is at most what one builtin makes of [`MEMORY_BYTES`]: builtins whose result may be
//! larger than the sum of what they are given are refused ([`crate::check()`]), and the meter looks between any two
//! steps.

/// Bytes of all modules together.
pub const POLICY_BYTES: usize = 256 * 1024;
/// Modules.
pub const MODULES: usize = 32;
/// Bytes of the data, as JSON.
pub const DATA_BYTES: usize = 64 * 1024 * 1024;
/// Nesting of the data.
pub const DATA_DEPTH: usize = 32;
/// Operations, references and brackets inside one another in one expression.
pub const EXPRESSION_DEPTH: usize = 100;
/// Square and curly brackets inside one another. The parser reads what stands in each twice, once for a comprehension: every
/// level takes twice as long as all those in it.
pub const COLLECTION_DEPTH: usize = 12;
/// Calls of rules and functions inside one another, the query included: each takes its share of a small stack.
pub const CALL_DEPTH: usize = 24;
/// Steps of one evaluation: instructions of the fast engine, statements and expressions of the other.
pub const STEPS: usize = 20_000;
/// Bytes that one evaluation may hold, where they are counted.
pub const MEMORY_BYTES: usize = 16 * 1024 * 1024;
/// Steps of the fast engine between two looks at the memory.
pub(crate) const STEPS_BETWEEN_LOOKS: u32 = 32;
/// Bytes of a request that a policy reads.
pub const INPUT_BYTES: usize = 16 * 1024;
/// Parts that a path or a query may fall into.
pub const INPUT_PARTS: usize = 1024;
/// Bytes of a reason.
pub const REASON_BYTES: usize = 512;
/// Bytes of a body.
pub const BODY_BYTES: usize = 4 * 1024;
/// Headers of an answer.
pub const HEADERS: usize = 16;
/// Bytes of the value of a header of an answer.
pub const HEADER_BYTES: usize = 512;
/// Faults that are reported of one policy.
pub const FAULTS: usize = 50;
/// Bytes of a pattern of `glob.match`: ten times as many may not compile.
pub const GLOB_BYTES: usize = 4 * 1024;
/// Groups (`{a,b}`) of a pattern of `glob.match`, which may lie in one another: the engine takes 250.
pub const GLOB_GROUPS: usize = 100;
/// Delimiters of a pattern of `glob.match`.
pub const DELIMITERS: usize = 8;
/// Parts of a path of `json.filter` and `json.remove`, and paths: each part is an object within the one before it.
pub const PATH_PARTS: usize = 64;
