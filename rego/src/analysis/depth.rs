//! Measures the depth of expressions from a text's tokens, before it is parsed.
//!
//! Each link of a chain (`1 + 1 + …`, `a.b.c…`) is a level of the parser's tree, and a walk through the tree uses a
//! small stack. The parser also tries the content of brackets more than once. So the limits must hold before parsing.

use regorus::Source;
use regorus::unstable::{Lexer, Span, Token, TokenKind};

use crate::limits;

/// An expression that is nested too deeply, and its place.
pub(super) struct TooDeep {
    pub(super) span: Span,
    /// The limit that it exceeds.
    pub(super) limit: usize,
    pub(super) what: &'static str,
}

/// Returns the first token that lies deeper than [`limits::EXPRESSION_DEPTH`], or the first bracket that lies deeper
/// than [`limits::COLLECTION_DEPTH`]. The measured depth is never too small and may be slightly too large: the
/// content of brackets counts as deep as everything before it in its expression.
pub(super) fn too_deep(source: &Source) -> Option<TooDeep> {
    let mut lexer = Lexer::new(source);
    // The open brackets. The outermost entry is the text itself.
    let mut open = vec![Open { links: 0, collection: false }];
    let mut before = Before { line: 0, ends: true };
    loop {
        // The parser reports a text that cannot be tokenised.
        let Ok(Token(kind, span)) = lexer.next_token() else { return None };
        let text = span.text();
        let role = match Role::from_token(&kind, text)? {
            // After a dot, this word is an ordinary name.
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

/// Words that separate expressions which are not nested in each other.
const BETWEEN: [&str; 4] = ["as", "else", "if", "with"];

/// An open bracket.
struct Open {
    /// The number of links so far in the current expression.
    links: usize,
    /// Whether the bracket may contain a collection.
    collection: bool,
}

/// The previous token.
struct Before {
    line: u32,
    /// Whether an expression may end with this token.
    ends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A name or a value. If it begins a line after the end of an expression, a new expression begins.
    Operand,
    /// An operator or a dot.
    Link,
    /// A token between expressions that are not nested in each other.
    Separator,
    Opening,
    Closing,
}

impl Role {
    /// Returns the token's role, or `None` at the end of the text.
    fn from_token(kind: &TokenKind, text: &str) -> Option<Role> {
        Some(match (kind, text) {
            (TokenKind::Eof, _) => return None,
            (TokenKind::Ident, "in") => Role::Link,
            (TokenKind::Symbol, "," | ";" | ":") => Role::Separator,
            (TokenKind::Symbol, ")" | "]" | "}") => Role::Closing,
            // The lexer reads `set(` as one token.
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
