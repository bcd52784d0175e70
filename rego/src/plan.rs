//! A checked policy and its engine, with the byte form in which it reaches the filter.

use std::collections::BTreeSet;

use crate::bundle::Module;
use crate::input_fields::InputFields;

/// The magic bytes of a plan. Each layout has a number of its own.
const MAGIC: &[u8; 8] = b"WEIRREG1";

/// The engine that evaluates a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Regorus' virtual machine, for policies that it evaluates without a known fault.
    Vm,
    /// Regorus' interpreter.
    Interpreter,
}

impl Engine {
    /// The name in output: `fast` or `slow`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Vm => "fast",
            Engine::Interpreter => "slow",
        }
    }
}

/// A checked policy. [`crate::check()`] is the only way to make one from an author's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) engine: Engine,
    pub(crate) fields: InputFields,
    pub(crate) headers: Option<BTreeSet<String>>,
    pub(crate) query: String,
    pub(crate) data: String,
    /// Lists of the data that are loaded as sets.
    pub(crate) indexed_lists: BTreeSet<Vec<String>>,
    pub(crate) modules: Vec<Module>,
}

/// An error for bytes that are not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes of the Rego policy are damaged, cut or of another version")]
pub struct InvalidPlanBytes;

impl Plan {
    /// The engine that evaluates the plan.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The plan's bytes. Equal plans have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Plan { engine, fields, headers, query, data, indexed_lists, modules } = self;
        let mut bytes = MAGIC.to_vec();
        bytes.push(u8::from(*engine == Engine::Interpreter));
        bytes.push(fields.bits());
        bytes.push(u8::from(headers.is_some()));
        let headers: Vec<&String> = headers.iter().flatten().collect();
        texts(&mut bytes, &headers);
        text(&mut bytes, query);
        text(&mut bytes, data);
        number(&mut bytes, indexed_lists.len());
        for path in indexed_lists {
            texts(&mut bytes, path);
        }
        number(&mut bytes, modules.len());
        for Module { name, text: source } in modules {
            text(&mut bytes, name);
            text(&mut bytes, source);
        }
        bytes
    }

    /// Parses a plan's bytes.
    ///
    /// # Errors
    /// When [`Self::to_bytes`] would not write such bytes. The policy inside is not checked again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Plan, InvalidPlanBytes> {
        let mut reader = Reader { rest: bytes.strip_prefix(MAGIC).ok_or(InvalidPlanBytes)? };
        let engine = match reader.byte()? {
            0 => Engine::Vm,
            1 => Engine::Interpreter,
            _ => return Err(InvalidPlanBytes),
        };
        let fields = InputFields::from_bits(reader.byte()?);
        let headers = match (reader.byte()?, reader.texts()?) {
            (0, names) if names.is_empty() => None,
            (1, names) => Some(names.into_iter().collect()),
            _ => return Err(InvalidPlanBytes),
        };
        let (query, data) = (reader.text()?, reader.text()?);
        let indexed_lists = reader.many(Reader::texts)?.into_iter().collect();
        let modules = reader.many(|reader| Ok(Module { name: reader.text()?, text: reader.text()? }))?;
        if !reader.rest.is_empty() {
            return Err(InvalidPlanBytes);
        }
        Ok(Plan { engine, fields, headers, query, data, indexed_lists, modules })
    }
}

/// Writes a number. [`crate::limits`] bounds lengths far below 4 GiB.
fn number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn texts(bytes: &mut Vec<u8>, items: &[impl AsRef<str>]) {
    number(bytes, items.len());
    items.iter().for_each(|item| text(bytes, item.as_ref()));
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, InvalidPlanBytes> {
        let (byte, rest) = self.rest.split_first().ok_or(InvalidPlanBytes)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<usize, InvalidPlanBytes> {
        let (number, rest) = self.rest.split_first_chunk::<4>().ok_or(InvalidPlanBytes)?;
        self.rest = rest;
        usize::try_from(u32::from_le_bytes(*number)).map_err(|_| InvalidPlanBytes)
    }

    fn text(&mut self) -> Result<String, InvalidPlanBytes> {
        let length = self.number()?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(InvalidPlanBytes)?;
        self.rest = rest;
        core::str::from_utf8(text).map(str::to_owned).map_err(|_| InvalidPlanBytes)
    }

    fn texts(&mut self) -> Result<Vec<String>, InvalidPlanBytes> {
        self.many(Reader::text)
    }

    /// Reads a count and then that many items. Each item takes at least one byte.
    fn many<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, InvalidPlanBytes>,
    ) -> Result<Vec<T>, InvalidPlanBytes> {
        let count = self.number()?;
        if count > self.rest.len() {
            return Err(InvalidPlanBytes);
        }
        (0..count).map(|_| item(self)).collect()
    }
}
