//! OPA itself, as a program that reads questions and writes answers (`opa/main.go`).

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::example;
use crate::request::Request;

/// OPA's answers to requests under each data, in their order. The program is `$WEIR_OPA`.
pub(crate) fn answers<'q>(questions: impl IntoIterator<Item = (&'q Value, &'q [Request])>) -> Vec<bool> {
    let mut lines = String::new();
    let mut count = 0;
    for (data, requests) in questions {
        lines += &format!("{}\n", json!({ "data": data }));
        for request in requests {
            lines += &format!("{}\n", json!({ "input": request.input() }));
        }
        count += requests.len();
    }
    let program = std::env::var_os("WEIR_OPA").expect("WEIR_OPA names the program");
    let mut child = Command::new(program)
        .arg(example("policy.rego"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("OPA starts");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("OPA ends");
    assert!(output.status.success(), "OPA ended with {}", output.status);
    writer.join().expect("no panic").expect("OPA read every question");
    let answers: Vec<bool> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|answer| answer.parse().unwrap_or_else(|_| panic!("the answer `{answer}`")))
        .collect();
    assert_eq!(answers.len(), count);
    answers
}
