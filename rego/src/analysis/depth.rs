//! How deep expressions lie in one another, told from a text's tokens: each link of a chain (`1 + 1 + …`, `a.b.c…`) is a
//! level of the tree that the parser makes of it, and a tree is walked on a small stack; and the parser tries what stands
//! in brackets more than once. So this comes before parsing.

use regorus::Source;
use regorus::unstable::{Lexer, Span, Token, TokenKind};

use crate::limits;

/// What lies too deep, and where.
pub(super) struct TooDeep {
    pub(super) span: Span,
    /// How many of what may lie in one another.
    pub(super) limit: usize,
    pub(super) what: &'static str,
}

/// The first token that lies deeper than [`limits::EXPRESSION_DEPTH`], which never says too little, and may say a few too
/// much: what stands in brackets counts as deep as all that stands before it in its expression. Or the first bracket that
/// lies deeper than [`limits::COLLECTION_DEPTH`].
pub(super) fn too_deep(source: &Source) -> Option<TooDeep> {
    let mut lexer = Lexer::new(source);
    // What is open; the outermost is the text.
    let mut open = vec![Open { links: 0, collection: false }];
    let mut before = Before { line: 0, ends: true };
    loop {
        // What cannot be read is for the parser to say.
        let Ok(Token(kind, span)) = lexer.next_token() else { return None };
        let text = span.text();
        let role = match Role::of(&kind, text)? {
            // Behind a dot it is a name like any other.
            Role::Operand if before.ends && BETWEEN.contains(&text) => Role::Separator,
            role => role,
        };
        if before.ends && role == Role::Operand && span.line > before.line {
            restart(&mut open);
        }
        match role {
            Role::Operand => {}
            Role::Link => count(&mut open),
            Role::Separator => restart(&mut open),
            Role::Opening => {
                count(&mut open);
                open.push(Open { links: 0, collection: !text.ends_with('(') });
            }
            Role::Closing => {
                if open.len() > 1 {
                    open.pop();
                }
            }
        }
        if open.iter().filter(|open| open.collection).count() > limits::COLLECTION_DEPTH {
            return Some(TooDeep { span, limit: limits::COLLECTION_DEPTH, what: "brackets" });
        }
        if open.iter().map(|open| open.links).sum::<usize>() > limits::EXPRESSION_DEPTH {
            return Some(TooDeep { span, limit: limits::EXPRESSION_DEPTH, what: "operations" });
        }
        before = Before { line: span.line, ends: matches!(role, Role::Operand | Role::Closing) };
    }
}

/// Words between expressions that do not lie in one another.
const BETWEEN: [&str; 4] = ["as", "else", "if", "with"];

/// An open bracket.
struct Open {
    /// The links so far of the expression in it.
    links: usize,
    /// Whether a collection may stand in it.
    collection: bool,
}

/// The token before.
struct Before {
    line: u32,
    /// Whether an expression may end with it.
    ends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A name or a value; where it begins a line behind the end of an expression, another one begins.
    Operand,
    /// An operator, or a dot.
    Link,
    /// Stands between expressions that do not lie in one another.
    Separator,
    Opening,
    Closing,
}

impl Role {
    /// None at the end of the text.
    fn of(kind: &TokenKind, text: &str) -> Option<Role> {
        Some(match (kind, text) {
            (TokenKind::Eof, _) => return None,
            (TokenKind::Ident, "in") => Role::Link,
            (TokenKind::Symbol, "," | ";" | ":") => Role::Separator,
            (TokenKind::Symbol, ")" | "]" | "}") => Role::Closing,
            // `set(` is one token.
            (_, text) if kind != &TokenKind::String && text.ends_with(['(', '[', '{']) => Role::Opening,
            (TokenKind::Symbol, _) => Role::Link,
            (TokenKind::Ident | TokenKind::Number | TokenKind::String | TokenKind::RawString, _) => {
                Role::Operand
            }
        })
    }
}

fn count(open: &mut [Open]) {
    if let Some(innermost) = open.last_mut() {
        innermost.links += 1;
    }
}

fn restart(open: &mut [Open]) {
    if let Some(innermost) = open.last_mut() {
        innermost.links = 0;
    }
}
