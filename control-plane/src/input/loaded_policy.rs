//! The loaded policy: a document's rules with the Rego policy and the files that it names.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use weir_policy::{
    Compiled, Fault, Faults, FileFault, LineColumn, Policy, PolicyVersion, RegoFiles, SourceLines, Spanned,
};
use weir_rego::{Bundle, Checked, Module};

use crate::input::policy_text::PolicyText;
use crate::input::regular_file;
use crate::input::upstream_files::UpstreamFiles;
use crate::output::report::{self, Style};

/// The content of a valid document.
#[derive(Debug)]
pub(crate) struct LoadedPolicy {
    /// The document's rules.
    pub policy: Policy,
    /// The contents of the files that its upstreams name.
    pub upstream_files: Arc<UpstreamFiles>,
    /// The Rego policy whose decision must also be allow.
    pub rego: Option<Checked>,
    /// Parts of the document that are valid, and are probably not meant.
    pub warnings: Vec<Fault>,
}

impl LoadedPolicy {
    /// The version of the rules and the Rego policy together. Decisions carry it.
    #[must_use]
    pub(crate) fn version(&self) -> PolicyVersion {
        let version = self.policy.version();
        self.rego.as_ref().map_or(version, |rego| version.with(&rego.plan.to_bytes()))
    }
}

/// A document with all files that it names, read once.
#[derive(Debug)]
pub(crate) struct LoadOutcome {
    /// The loaded policy, or the faults.
    pub outcome: Result<LoadedPolicy, Vec<FaultyFile>>,
    /// The files of the Rego policy, including unreadable ones.
    pub rego_files: Vec<NamedFile>,
    /// The files that the upstreams name.
    pub upstream_files: Vec<PathBuf>,
}

/// A file of a Rego policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// The file's path.
    pub path: PathBuf,
    /// The file's text, or `None` if it could not be read.
    pub text: Option<String>,
}

/// A file with faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FaultyFile {
    /// The file's name in messages.
    pub name: String,
    /// The file's text, which the faults' places refer to.
    pub text: String,
    /// The faults.
    pub faults: Faults,
}

impl LoadOutcome {
    /// Compiles the document, and reads and checks the files that it names, relative to its folder.
    #[must_use]
    pub(crate) fn new(document: &PolicyText) -> Self {
        Self::read(document, UpstreamFiles::read)
    }

    /// Loads a document for evaluation only. The files of its upstreams are not read, and need not exist.
    #[must_use]
    pub(crate) fn for_evaluation(document: &PolicyText) -> Self {
        Self::read(document, |_, _| Ok(UpstreamFiles::unread()))
    }

    fn read(
        document: &PolicyText,
        upstream_files: impl FnOnce(&Policy, &Path) -> Result<UpstreamFiles, Vec<FileFault>>,
    ) -> Self {
        let mut reading =
            Self { outcome: Err(Vec::new()), rego_files: Vec::new(), upstream_files: Vec::new() };
        let compile = |source: &str| weir_policy::compile_with_public_suffixes(source, is_public_suffix);
        let Compiled { policy, rego, warnings } = match document.parse(compile) {
            Ok(compiled) => compiled,
            Err(faults) => {
                reading.outcome = Err(vec![faulty(document, faults)]);
                return reading;
            }
        };
        let named = crate::input::upstream_files::named(&policy).map(|file| document.folder().join(file));
        reading.upstream_files = named.collect();
        let mut sources = Sources { document, files: Vec::new(), faults: Vec::new() };
        let checked = rego.map(|rego| sources.check(&rego));
        let Sources { files, faults: list, .. } = sources;
        reading.rego_files = files;
        let faulty_files: Vec<FaultyFile> = match (&checked, upstream_files(&policy, document.folder())) {
            (_, Err(faults)) => {
                let nowhere = Faults { list: Vec::new(), omitted: faults.len() };
                let faults = weir_policy::file_faults(document.text(), &faults).unwrap_or(nowhere);
                vec![faulty(document, faults)]
            }
            (Some(Some(Err(faulty))), Ok(_)) => faulty.clone(),
            (Some(None), Ok(_)) => vec![faulty(document, Faults { list, omitted: 0 })],
            (Some(Some(Ok(_))) | None, Ok(files)) => {
                let rego = checked.and_then(|checked| checked?.ok());
                let upstream_files = Arc::new(files);
                reading.outcome = Ok(LoadedPolicy { policy, upstream_files, rego, warnings });
                return reading;
            }
        };
        reading.outcome = Err(faulty_files);
        reading
    }
}

/// Returns whether the name is in the list of public suffixes (<https://publicsuffix.org>): different owners register the
/// names below it.
fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

/// Formats every fault of every file for people.
#[must_use]
pub(crate) fn report(files: &[FaultyFile], style: Style) -> String {
    files.iter().map(|file| report::faults(&file.name, &file.text, &file.faults, style)).collect()
}

/// Describes the engine that evaluates a Rego policy, and the reason.
#[must_use]
pub(crate) fn engine(Checked { plan, interpreter_reason }: &Checked) -> String {
    let why = interpreter_reason.as_ref().map(|(place, why)| {
        let line = place.as_ref().map(|place| format!(" in line {}", place.line)).unwrap_or_default();
        format!(" because of {}{line}", report::sentence(why))
    });
    format!("{} engine{}", plan.engine().as_str(), why.unwrap_or_default())
}

fn faulty(document: &PolicyText, faults: Faults) -> FaultyFile {
    FaultyFile { name: document.name().to_owned(), text: document.text().to_owned(), faults }
}

/// The files of a document, while it is read.
struct Sources<'d> {
    document: &'d PolicyText,
    files: Vec<NamedFile>,
    /// Faults of the document itself.
    faults: Vec<Fault>,
}

impl Sources<'_> {
    /// Checks the Rego policy. Returns `None` if some file could not be read.
    fn check(&mut self, rego: &RegoFiles) -> Option<Result<Checked, Vec<FaultyFile>>> {
        let modules: Vec<Module> = rego.policy.iter().filter_map(|name| self.read(name)).collect();
        let data: Vec<Module> = rego.data.iter().filter_map(|name| self.read(name)).collect();
        if !self.faults.is_empty() {
            return None;
        }
        let data = match merged(&data) {
            Ok(data) => data,
            Err(faulty) => return Some(Err(vec![faulty])),
        };
        let query = rego.query.as_ref().map_or(weir_rego::DEFAULT_QUERY, |query| &query.value);
        let bundle = Bundle { modules, data, query: query.to_owned() };
        Some(weir_rego::check(&bundle).map_err(|faults| self.by_file(&bundle, rego, faults)))
    }

    fn read(&mut self, name: &Spanned<String>) -> Option<Module> {
        let path = self.document.folder().join(&name.value);
        let read = read_text(&path);
        self.files.push(NamedFile { path: path.clone(), text: read.as_ref().ok().cloned() });
        match read {
            Ok(text) => Some(Module { name: path.display().to_string(), text }),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                let help = "names of files are relative to the document's folder".to_owned();
                let fault = Fault::new(self.document.text(), name.span.clone(), "rego", message, Some(help));
                self.faults.push(fault);
                None
            }
        }
    }

    /// Groups faults by their file. Faults outside all modules belong to the document.
    fn by_file(&self, bundle: &Bundle, rego: &RegoFiles, faults: Vec<weir_rego::Fault>) -> Vec<FaultyFile> {
        let mut own = Vec::new();
        let mut modules: Vec<Vec<Fault>> = vec![Vec::new(); bundle.modules.len()];
        for weir_rego::Fault { place, message, help } in faults {
            let list = place.as_ref().and_then(|place| modules.get_mut(place.module));
            match (place, list) {
                (Some(place), Some(list)) => {
                    let weir_rego::Place { module: _, span, line, column } = place;
                    list.push(Fault { span, line, column, at: String::new(), message, help });
                }
                (_, _) => {
                    let span =
                        rego.query.as_ref().or(rego.policy.first()).map_or(0..0, |name| name.span.clone());
                    own.push(Fault::new(self.document.text(), span, "rego", message, help));
                }
            }
        }
        let of_modules = bundle.modules.iter().zip(modules).map(|(module, list)| FaultyFile {
            name: module.name.clone(),
            text: module.text.clone(),
            faults: Faults { list, omitted: 0 },
        });
        let all = of_modules.chain([faulty(self.document, Faults { list: own, omitted: 0 })]);
        all.filter(|file| !file.faults.list.is_empty()).collect()
    }
}

/// Reads a text file up to the size limit.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    regular_file::open(path)?.take(weir_rego::limits::DATA_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Merges all objects into one. Each key may come from only one file.
fn merged(files: &[Module]) -> Result<String, FaultyFile> {
    let mut all = Map::new();
    for Module { name, text } in files {
        let wrong = |at: usize, message: String| {
            let help = Some("write a JSON object: its keys are the names below `data`".to_owned());
            let fault = Fault::new(text, at..at, "", message, help);
            FaultyFile {
                name: name.clone(),
                text: text.clone(),
                faults: Faults { list: vec![fault], omitted: 0 },
            }
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => {
                for (key, value) in object {
                    if all.insert(key.clone(), value).is_some() {
                        return Err(wrong(0, format!("`{key}` is in another file too")));
                    }
                }
            }
            Ok(_) => return Err(wrong(0, "the data is not an object".to_owned())),
            Err(error) => {
                return Err(wrong(offset(text, &error), format!("this is not JSON: {error}")));
            }
        }
    }
    Ok(Value::Object(all).to_string())
}

/// Returns the place of a JSON error, in bytes of the text. `serde_json` counts columns in bytes.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line = SourceLines::new(text).offset(LineColumn { line: error.line(), column: 1 });
    text.floor_char_boundary(line + error.column().saturating_sub(1))
}
