//! SECURITY.md names tests as `file: test`. Each test stands in the file that is named for it.
//!
//! A file is named before its tests (`facts.rs`: `one_test`, `another_test`), or in the header of the table for the
//! tests of a cell that names no file of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// The minimum number of words in a test's name. A name with fewer is an option of Envoy's or a reason.
const WORDS_OF_A_TEST: usize = 4;

#[test]
fn every_test_that_security_names_stands_in_the_file_that_is_named() {
    let named = named_tests(&super::document("SECURITY.md"));
    assert!(named.len() > 250, "too few to be all: {named:#?}");
    let files = files_of_functions();
    let faults: Vec<String> = named.into_iter().filter_map(|named| named.fault(&files)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A test that a document names.
#[derive(Debug)]
struct NamedTest {
    name: String,
    file: Option<String>,
}

impl NamedTest {
    fn fault(&self, files: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
        let Self { name, file } = self;
        let Some(found) = files.get(name) else { return Some(format!("no test is named {name}")) };
        let Some(file) = file else { return Some(format!("no file is named for {name}, of {found:?}")) };
        let stands = found.iter().any(|path| is_file_or_its_tests(path, file));
        (!stands).then(|| format!("{name} stands in {found:?}, not in {file}"))
    }
}

/// Returns whether the path is the file that a document names (`ca/root.rs`), or holds its tests (`ca/root/tests.rs`,
/// `ca/root/tests/…`). A folder of tests may be named by its path (`filter/src/judge/tests`).
fn is_file_or_its_tests(path: &str, named: &str) -> bool {
    let module = named.trim_end_matches(".rs");
    let path = format!("/{path}");
    let below = if named.ends_with(".rs") { format!("/{module}/tests/") } else { format!("/{module}/") };
    path.ends_with(&format!("/{module}.rs"))
        || path.ends_with(&format!("/{module}/tests.rs"))
        || path.contains(&below)
}

/// Lists the tests that a document names, each with its file.
fn named_tests(text: &str) -> Vec<NamedTest> {
    let mut named = Vec::new();
    for paragraph in text.split("\n\n") {
        let is_table = |line: &&str| line.starts_with('|');
        let (rows, prose): (Vec<_>, Vec<_>) = paragraph.lines().partition(is_table);
        for item in prose.join(" ").split(" - ") {
            named.extend(tests_of_text(item, &[')', ';'], None));
        }
        let default = rows.first().and_then(|header| header.split('`').nth(1));
        for row in rows.iter().skip(1) {
            named.extend(tests_of_text(row, &['|', ';'], default));
        }
    }
    named
}

/// Lists the tests that a text names. A file counts until one of these ends, or until another file is named.
fn tests_of_text(text: &str, ends: &[char], default: Option<&str>) -> Vec<NamedTest> {
    let pieces: Vec<&str> = text.split('`').collect();
    let mut file = default;
    let mut named = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let is_quoted = index % 2 == 1;
        if !is_quoted {
            if piece.contains(ends) {
                file = default;
            }
        } else if pieces.get(index + 1).is_some_and(|next| next.starts_with(": ")) {
            file = Some(piece);
        } else if is_name_of_a_test(piece) {
            named.push(NamedTest { name: (*piece).to_owned(), file: file.map(str::to_owned) });
        }
    }
    named
}

fn is_name_of_a_test(quoted: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    quoted.split('_').count() >= WORDS_OF_A_TEST && quoted.split('_').all(is_word)
}

/// Maps the name of each function in the checkout to the files that define one.
fn files_of_functions() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = BTreeMap::new();
    read_sources(&root, &root, &mut files);
    files
}

/// Reads every Rust source of the folder, except built and fetched files.
fn read_sources(root: &Path, folder: &Path, files: &mut BTreeMap<String, BTreeSet<String>>) {
    let entries = read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            read_sources(root, &path, files);
        } else if name.ends_with(".rs") {
            let file = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let text = read_to_string(&path).unwrap();
            for function in text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()) {
                files.entry(function.to_owned()).or_default().insert(file.clone());
            }
        }
    }
}

#[test]
fn a_test_that_is_missing_or_in_another_file_is_found() {
    let files = BTreeMap::from([(
        "a_name_that_has_words".to_owned(),
        BTreeSet::from(["control-plane/src/ca/root/tests.rs".to_owned()]),
    )]);
    let faults = |text: &str| named_tests(text).iter().filter_map(|named| named.fault(&files)).count();
    for good in [
        "See `ca/root.rs`: `a_name_that_has_words`.",
        "| a | tests (`ca/root.rs`) |\n|---|---|\n| b | `a_name_that_has_words` |",
        "| a | tests |\n|---|---|\n| (`b.rs`) | `root.rs`: `a_name_that_has_words` |",
        "| a | tests |\n|---|---|\n| b | `ca/root/tests`: `a_name_that_has_words` |",
    ] {
        assert_eq!((named_tests(good).len(), faults(good)), (1, 0), "{good}");
    }
    for bad in [
        "See `ca/root.rs`: `another_name_that_has_words`.",
        "See `a_name_that_has_words`.",
        "See (`ca/root.rs`: it) `a_name_that_has_words`.",
        "See `ca/leaf.rs`: `a_name_that_has_words`.",
        "| a | tests (`ca/root.rs`) |\n|---|---|\n| b | `ca.rs`: `a_name_that_has_words` |",
    ] {
        assert_eq!((named_tests(bad).len(), faults(bad)), (1, 1), "{bad}");
    }
}
