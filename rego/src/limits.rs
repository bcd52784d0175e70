//! All limits of a Rego evaluation in one place.
//!
//! The meter checks the limits between any two steps, so a value may exceed [`MEMORY_BYTES`] only by the result of
//! one builtin. [`crate::check()`] refuses builtins whose result may be larger than the sum of their arguments.

/// Bytes of all modules together.
pub const POLICY_BYTES: usize = 256 * 1024;
/// Modules.
pub const MODULES: usize = 32;
/// Bytes of the data, as JSON.
pub const DATA_BYTES: usize = 64 * 1024 * 1024;
/// Nesting of the data.
pub const DATA_DEPTH: usize = 32;
/// The nesting of operations, references and brackets in one expression.
pub const EXPRESSION_DEPTH: usize = 100;
/// The nesting of square and curly brackets. The parser reads the content of each twice, once as a comprehension, so
/// every level doubles the time of the levels inside it.
pub const COLLECTION_DEPTH: usize = 12;
/// The nesting of calls of rules and functions, including the query. Each call takes its share of a small stack.
pub const CALL_DEPTH: usize = 24;
/// Steps of one evaluation: instructions of the VM, statements and expressions of the other.
pub const STEPS: usize = 20_000;
/// Bytes that one evaluation may hold, where they are counted.
pub const MEMORY_BYTES: usize = 16 * 1024 * 1024;
/// Steps of the VM between two checks of the memory.
pub(crate) const STEPS_BETWEEN_LOOKS: u32 = 32;
/// Bytes of a request that a policy reads.
pub const INPUT_BYTES: usize = 16 * 1024;
/// The number of parts that a path or a query may be split into.
pub const INPUT_PARTS: usize = 1024;
/// Bytes of a reason.
pub const REASON_BYTES: usize = 512;
/// Bytes of a denial's body.
pub const BODY_BYTES: usize = 4 * 1024;
/// Headers of an answer.
pub const HEADERS: usize = 16;
/// Bytes of the value of one header of an answer.
pub const HEADER_BYTES: usize = 512;
/// Faults that are reported of one policy.
pub const FAULTS: usize = 50;
/// Bytes of a pattern of `glob.match`. A pattern of ten times as many may fail to compile.
pub const GLOB_BYTES: usize = 4 * 1024;
/// Groups (`{a,b}`) in a pattern of `glob.match`, nested or not. The engine accepts 250.
pub const GLOB_GROUPS: usize = 100;
/// Delimiters of a pattern of `glob.match`.
pub const DELIMITERS: usize = 8;
/// The number of paths of `json.filter` and `json.remove`, and the number of parts in a path. Each part is an object
/// nested in the one before it.
pub const PATH_PARTS: usize = 64;
/// Bytes of the automaton of a pattern of `regex.match`: the engine compiles none that is larger.
pub const REGEX_BYTES: usize = 100 * 1024;
