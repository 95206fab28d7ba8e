//! Words in and out.

use super::list;
use crate::vllm::cli::{QuoteError, lines, quote, words};
use proptest::prelude::*;

#[test]
fn quotes_and_backslashes_are_read_as_a_shell_reads_them() {
    assert_eq!(list(r#"a 'b c' "d \"e\" \n" f\ g '' "h"'i'"#), ["a", "b c", r#"d "e" \n"#, "f g", "", "hi"]);
    assert_eq!(list(r#"--x '{"a": {"b": [1, 2]}}'"#), ["--x", r#"{"a": {"b": [1, 2]}}"#]);
    assert_eq!(list("'\"device=0,1\"'"), ["\"device=0,1\""]);
    assert_eq!(list(r#"" a"=$ x$"#), [" a=$", "x$"]);
    assert_eq!(list(""), Vec::<String>::new());
}

#[test]
fn a_line_goes_on_behind_a_backslash_a_caret_or_a_backtick() {
    for line in [
        "a \\\n  b",
        "a ^\r\n b",
        "a `\n b",
        "a \\ \t\n b",
        "a\nb",
        "a\\\r\n b",
        "a b \\",
        "a b ^",
        "a\u{a0}b `",
    ] {
        assert_eq!(list(line), ["a", "b"], "{line:?}");
    }
    assert_eq!(list("a^b 5^"), ["a^b", "5"]);
    assert_eq!(list("\"a\\\nb\""), ["ab"]);
}

#[test]
fn a_prompt_before_the_command_is_skipped_and_a_comment_is_not() {
    assert_eq!(list("  $ vllm serve"), ["vllm", "serve"]);
    assert_eq!(list("# vllm serve"), ["vllm", "serve"]);
    assert_eq!(words("vllm serve # my model"), Err(QuoteError::Comment));
    assert_eq!(list("a#b '#'"), ["a#b", "#"]);
}

#[test]
fn what_a_shell_would_do_is_named() {
    for (line, what) in [
        ("a | b", "|"),
        ("a || b", "||"),
        ("a && b", "&&"),
        ("a &", "&"),
        ("a; b", ";"),
        ("a > f", ">"),
        ("a 2>&1", ">"),
        ("a <b", "<"),
        ("(a)", "("),
    ] {
        assert_eq!(words(line), Err(QuoteError::Operator { what }), "{line}");
    }
    for (line, what) in [
        ("a $MODEL", "$MODEL"),
        ("\"x ${A:-b} y\"", "${A:-b}"),
        ("-v $(pwd $(x)):/y", "$(pwd $(x))"),
        ("`id`", "`id`"),
        ("$1", "$1"),
        ("a$HOME", "$HOME"),
    ] {
        assert_eq!(words(line), Err(QuoteError::Expansion { what: what.to_owned() }), "{line}");
    }
    for (line, opened) in [("'a", "'"), ("a \"b", "\""), ("$(a", "$("), ("${a", "${"), ("`a", "`")] {
        assert_eq!(words(line), Err(QuoteError::Unclosed { opened }), "{line}");
    }
    assert_eq!(words("--x “a”"), Err(QuoteError::Typographic { found: '“' }));
    assert_eq!(words("–-x"), Err(QuoteError::Typographic { found: '–' }));
    assert_eq!(words(&"a".repeat(65_537)), Err(QuoteError::TooLong));
    assert_eq!(list("'a | b $c `d`' \"e | f > ~\""), ["a | b $c `d`", "e | f > ~"]);
}

#[test]
fn a_home_folder_at_the_beginning_stays_as_it_is() {
    assert_eq!(list("~/m $HOME/m \"${HOME}/m\" a~b"), ["~/m", "$HOME/m", "${HOME}/m", "a~b"]);
}

#[test]
fn a_command_for_reading_has_a_flag_on_each_line_and_the_image_too() {
    let command = list("docker run -d --name v -e A vllm/vllm-openai:latest --model m --seed -1 --x 'a b'");
    assert_eq!(
        lines(&command),
        "docker run \\\n  -d \\\n  --name v \\\n  -e A \\\n  vllm/vllm-openai:latest \\\n  --model m \\\n  \
         --seed -1 \\\n  --x 'a b'"
    );
}

proptest! {
    #[test]
    fn what_is_quoted_reads_back_the_same(given in prop::collection::vec("[^\\x00]{0,12}", 0..8)) {
        prop_assert_eq!(words(&quote(&given)), Ok(given.clone()));
        prop_assert_eq!(words(&lines(&given)), Ok(given));
    }

    #[test]
    fn signs_of_the_shell_read_back_the_same(given in prop::collection::vec("[-a$`'\"\\\\^ \n\r\t#~|&;<>(){}!=*]{0,8}", 0..8)) {
        prop_assert_eq!(words(&quote(&given)), Ok(given.clone()));
        prop_assert_eq!(words(&lines(&given)), Ok(given));
    }
}
