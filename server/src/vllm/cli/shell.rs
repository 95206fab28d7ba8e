//! Cuts a text into words as a POSIX shell does. In: text that somebody pasted. Out: words, or what a shell would have to do.
//!
//! Source of the rules: POSIX.1-2024, Shell Command Language, 2.2 (quoting) and 2.3 (tokens). Nothing is expanded.

use std::iter::Peekable;
use std::str::Chars;

/// Bytes of text that are read at most.
pub(super) const LIMIT: usize = 64 << 10;

/// Why a text is no list of words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// More than 64 KiB.
    #[error("the text is longer than 64 KiB: paste the command alone")]
    TooLong,
    /// A quote, a `$(`, a `${` or a backtick that does not end.
    #[error("{opened} is opened and never closed: close it, or put a backslash before it")]
    Unclosed {
        /// What opens it.
        opened: &'static str,
    },
    /// A pipe, a redirection, a second command.
    #[error("{what} is work for a shell: leave it out, or put it in single quotes if it belongs to a value")]
    Operator {
        /// The operator as written.
        what: &'static str,
    },
    /// A variable or a command whose result would stand there.
    #[error(
        "{what} is not filled in here: write its value instead, or put it in single quotes if it is meant so"
    )]
    Expansion {
        /// Such as `$MODEL` or `$(pwd)`, at most 80 characters.
        what: String,
    },
    /// A comment.
    #[error("a comment begins with #: leave it out, or put it in single quotes if it belongs to a value")]
    Comment,
    /// A quote or a dash that a text editor made prettier.
    #[error("{found} comes from a text editor: write a plain quote or plain dashes instead")]
    Typographic {
        /// The sign.
        found: char,
    },
}

/// A word, and what a shell would fill in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The word without its quotes, nothing filled in.
    pub text: String,
    /// Variables and commands in it, as written.
    pub expansions: Vec<String>,
    /// The home folder at its very beginning: `~`, `$HOME` or `${HOME}`.
    pub home: Option<&'static str>,
}

impl Word {
    /// The text, where a shell would not change it.
    pub fn plain(&self) -> Result<&str, QuoteError> {
        let what = self.expansions.first().cloned().or_else(|| self.home.map(str::to_owned));
        what.map_or(Ok(self.text.as_str()), |what| Err(QuoteError::Expansion { what }))
    }
}

/// The words of a command. A prompt (`$ `, `# `) before it is left out; a line may go on behind `\`, `^` or a backtick.
/// `~` and `$HOME` at the beginning of a word stay as they are written.
///
/// # Errors
/// [`QuoteError`], which names what a shell would have to do.
pub fn words(text: &str) -> Result<Vec<String>, QuoteError> {
    lex(text)?
        .into_iter()
        .map(|word| match word.expansions.into_iter().next() {
            Some(what) => Err(QuoteError::Expansion { what }),
            None => Ok(word.text),
        })
        .collect()
}

/// The words with what a shell would fill in.
pub(super) fn lex(text: &str) -> Result<Vec<Word>, QuoteError> {
    if text.len() > LIMIT {
        return Err(QuoteError::TooLong);
    }
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let text = text.strip_prefix("$ ").or_else(|| text.strip_prefix("# ")).unwrap_or(text);
    let mut lexer = Lexer { chars: text.chars().peekable(), words: Vec::new(), word: None };
    while let Some(c) = lexer.chars.next() {
        lexer.unquoted(c)?;
    }
    lexer.end_word();
    Ok(lexer.words)
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    words: Vec<Word>,
    /// The word that has begun; an empty one when all of it so far was `''`.
    word: Option<Word>,
}

impl Lexer<'_> {
    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().text.push(c);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn unquoted(&mut self, c: char) -> Result<(), QuoteError> {
        let operator = |what| Err(QuoteError::Operator { what });
        match c {
            '\'' => self.single()?,
            '"' => self.double()?,
            '\\' if !self.goes_on() => {
                if let Some(next) = self.chars.next() {
                    self.push(next);
                }
            }
            '^' if !self.goes_on() => self.push('^'),
            '`' if !self.goes_on() => self.command()?,
            '\\' | '^' | '`' => self.end_word(),
            '$' => self.dollar(false)?,
            '|' if self.chars.peek() == Some(&'|') => return operator("||"),
            '|' => return operator("|"),
            '&' if self.chars.peek() == Some(&'&') => return operator("&&"),
            '&' => return operator("&"),
            ';' => return operator(";"),
            '<' => return operator("<"),
            '>' => return operator(">"),
            '(' => return operator("("),
            ')' => return operator(")"),
            '#' if self.word.is_none() => return Err(QuoteError::Comment),
            '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => {
                return Err(QuoteError::Typographic { found: c });
            }
            '\u{2013}' | '\u{2014}' if self.word.is_none() => {
                return Err(QuoteError::Typographic { found: c });
            }
            '~' if self.word.is_none() => {
                self.push('~');
                if self.chars.peek().is_none_or(|next| matches!(next, '/' | ':') || next.is_whitespace()) {
                    self.word.get_or_insert_default().home = Some("~");
                }
            }
            c if c.is_whitespace() => self.end_word(),
            c => self.push(c),
        }
        Ok(())
    }

    /// Nothing but blanks up to the end of the line (then they are stepped over): the command goes on in the next one.
    fn goes_on(&mut self) -> bool {
        let mut ahead = self.chars.clone();
        loop {
            match ahead.next() {
                Some(' ' | '\t' | '\r') => {}
                Some('\n') | None => break,
                Some(_) => return false,
            }
        }
        self.chars = ahead;
        true
    }

    fn single(&mut self) -> Result<(), QuoteError> {
        self.word.get_or_insert_default();
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(()),
                Some(c) => self.push(c),
                None => return Err(QuoteError::Unclosed { opened: "'" }),
            }
        }
    }

    fn double(&mut self) -> Result<(), QuoteError> {
        self.word.get_or_insert_default();
        loop {
            match self.chars.next() {
                Some('"') => return Ok(()),
                Some('$') => self.dollar(true)?,
                Some('`') => self.command()?,
                Some('\\') => match self.chars.peek().copied() {
                    Some(c @ ('$' | '`' | '"' | '\\')) => {
                        self.chars.next();
                        self.push(c);
                    }
                    Some('\n') => {
                        self.chars.next();
                    }
                    Some('\r') => {
                        self.chars.next();
                        self.chars.next_if_eq(&'\n');
                    }
                    _ => self.push('\\'),
                },
                Some(c) => self.push(c),
                None => return Err(QuoteError::Unclosed { opened: "\"" }),
            }
        }
    }

    /// What follows a `$`.
    fn dollar(&mut self, quoted: bool) -> Result<(), QuoteError> {
        let mut what = String::from('$');
        match self.chars.peek().copied() {
            Some('(') => self.up_to('(', ')', "$(", &mut what)?,
            Some('{') => self.up_to('{', '}', "${", &mut what)?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    what.push(c);
                }
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '?' | '!' | '#' | '*' | '@' | '-' | '$') => {
                self.chars.next();
                what.push(c);
            }
            // bash: `$'…'` and `$"…"` change what is inside.
            Some(c @ ('\'' | '"')) if !quoted => what.push(c),
            _ => {
                self.push('$');
                return Ok(());
            }
        }
        self.expansion(&what);
        Ok(())
    }

    /// A command between backticks; the first one has been read.
    fn command(&mut self) -> Result<(), QuoteError> {
        let mut what = String::from('`');
        loop {
            let c = self.chars.next().ok_or(QuoteError::Unclosed { opened: "`" })?;
            what.push(c);
            if c == '`' {
                break;
            }
        }
        self.expansion(&what);
        Ok(())
    }

    fn up_to(
        &mut self,
        open: char,
        close: char,
        opened: &'static str,
        what: &mut String,
    ) -> Result<(), QuoteError> {
        let mut depth = 0_usize;
        loop {
            let c = self.chars.next().ok_or(QuoteError::Unclosed { opened })?;
            what.push(c);
            if c == open {
                depth += 1;
            } else if c == close {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(());
                }
            }
        }
    }

    fn expansion(&mut self, what: &str) {
        let word = self.word.get_or_insert_default();
        let home = match what {
            "$HOME" => Some("$HOME"),
            "${HOME}" => Some("${HOME}"),
            _ => None,
        };
        if word.text.is_empty() && home.is_some() {
            word.home = home;
        } else {
            word.expansions.push(what.chars().take(80).collect());
        }
        word.text.push_str(what);
    }
}
