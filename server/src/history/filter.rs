//! Which lines are wanted.

use super::block::{Head, Record};
use super::columns::{Columns, Line, untag};
use app::model::{Level, Stream};
use regex::{Regex, RegexBuilder};

/// The longest query that is taken, in bytes.
pub const MOST_QUERY: usize = 1000;
/// Memory of a compiled expression and of its automaton.
const REGEX_BYTES: usize = 4 << 20;

/// Places in one line that are marked.
const MOST_PLACES: usize = 100;

/// What a line must hold.
#[derive(Clone, Debug)]
pub struct Query {
    /// Finds it in one line.
    line: Regex,
    /// Finds a stretch of lines that has it in one of them, or may have; absent where only a line alone can tell.
    block: Option<Regex>,
    /// No match reaches over the end of a line.
    within: bool,
}

impl Query {
    /// A plain text, in any case.
    pub fn words(text: &str) -> Result<Self, String> {
        // The cases of other letters (the Kelvin sign is a K) cost speed where there are none.
        let line = build(&regex::escape(text), !text.is_ascii())?;
        Ok(Self { block: Some(line.clone()), line, within: true })
    }

    /// A regular expression, in any case unless it says otherwise (`(?-i)`).
    pub fn pattern(text: &str) -> Result<Self, String> {
        let line = build(text, true)?;
        // The ends of the whole text are not those of a line: such an expression is asked of each line alone.
        let ends = ["\\A", "\\z", "(?", "\\Z"].iter().any(|token| text.contains(token));
        Ok(Self { block: (!ends).then(|| line.clone()), line, within: false })
    }

    /// Whether the text of one line, or a name, has it.
    pub fn is_in(&self, text: &str) -> bool {
        self.line.is_match(text)
    }

    /// Whether any line of this text can have it.
    pub fn may_be_in(&self, block: &str) -> bool {
        self.block.as_ref().is_none_or(|block_regex| block_regex.is_match(block))
    }

    /// Where it is in a text: bytes.
    pub fn places(&self, text: &str) -> Vec<(usize, usize)> {
        self.line
            .find_iter(text)
            .map(|found| (found.start(), found.end()))
            .filter(|(from, to)| from < to)
            .take(MOST_PLACES)
            .collect()
    }
}

fn build(pattern: &str, unicode: bool) -> Result<Regex, String> {
    if pattern.len() > MOST_QUERY {
        return Err(format!("it may have {MOST_QUERY} bytes"));
    }
    RegexBuilder::new(pattern)
        .unicode(unicode)
        .case_insensitive(true)
        .multi_line(true)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
            // The library draws the expression with a mark below it; the last line says what is wrong.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim().trim_start_matches("error: ").to_owned()
            }
        })
}

/// Which lines are wanted; every one by default.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only these levels; all when empty.
    pub levels: Vec<Level>,
    /// Only this pipe.
    pub stream: Option<Stream>,
    /// Only what this source wrote.
    pub source: Option<String>,
    /// Only lines from this time on, in milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Only lines before this time.
    pub to_ms: Option<i64>,
    /// Only lines whose text or source has this.
    pub query: Option<Query>,
}

impl Filter {
    /// Whether all lines are wanted.
    pub const fn takes_all(&self) -> bool {
        self.levels.is_empty()
            && self.stream.is_none()
            && self.source.is_none()
            && self.from_ms.is_none()
            && self.to_ms.is_none()
            && self.query.is_none()
    }

    fn level(&self, level: Level) -> bool {
        self.levels.is_empty() || self.levels.contains(&level)
    }

    fn time(&self, ms: i64) -> bool {
        self.from_ms.is_none_or(|from| ms >= from) && self.to_ms.is_none_or(|to| ms < to)
    }

    /// Whether this line is wanted.
    pub fn takes(&self, line: &Line<'_>) -> bool {
        self.level(line.level)
            && self.time(line.ms)
            && self.stream.is_none_or(|stream| stream == line.stream)
            && self.source.as_ref().is_none_or(|source| source == line.source)
            && self.query.as_ref().is_none_or(|query| query.is_in(line.text) || query.is_in(line.source))
    }

    /// Whether lines of this record can be wanted, by its head alone.
    pub fn may_take(&self, head: &Head) -> bool {
        head.record == Record::Lines
            && self.from_ms.is_none_or(|from| head.to_ms >= from)
            && self.to_ms.is_none_or(|to| head.from_ms < to)
            && Level::ALL.into_iter().any(|level| head.count_of(level) > 0 && self.level(level))
    }

    /// Whether lines with this text and these sources can be wanted.
    pub fn may_take_text(&self, text: &str, names: &[String]) -> bool {
        self.source.as_ref().is_none_or(|source| names.contains(source))
            && self
                .query
                .as_ref()
                .is_none_or(|query| query.may_be_in(text) || names.iter().any(|name| query.is_in(name)))
    }

    /// The wanted lines of a block, by index, in order.
    pub fn within(&self, lines: &Columns) -> Vec<usize> {
        let rest = |index: usize| {
            let (Some(tag), Some(ms)) = (lines.tags.get(index), lines.times.get(index)) else { return false };
            let (level, stream, _) = untag(*tag);
            self.level(level)
                && self.time(*ms)
                && self.stream.is_none_or(|wanted| wanted == stream)
                && self.source.as_ref().is_none_or(|source| source == lines.source_of(index))
        };
        let Some(query) = &self.query else { return (0..lines.len()).filter(|index| rest(*index)).collect() };
        let named: Vec<bool> = lines.names.iter().map(|name| query.is_in(name)).collect();
        let by_name = |index: usize| {
            lines
                .sources
                .get(index)
                .and_then(|name| named.get(usize::from(*name)))
                .copied()
                .unwrap_or_default()
        };
        if named.contains(&true) || !query.within {
            return (0..lines.len())
                .filter(|index| rest(*index) && (by_name(*index) || query.is_in(lines.text_of(*index))))
                .collect();
        }
        // One look over all of the text; behind a hit it goes on with the next line.
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(hit) = query.line.find_at(&lines.text, from) {
            let index = lines.index_of(hit.start());
            if rest(index) {
                found.push(index);
            }
            from = lines.place(index).end + 1;
            if from >= lines.text.len() {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::LineKind;
    use proptest::prelude::*;

    fn columns(texts: &[(String, bool)]) -> Columns {
        let mut columns = Columns::starting_at(1);
        for (index, (text, named)) in texts.iter().enumerate() {
            columns.push(&Line {
                seq: 1 + index as u64,
                ms: index as i64 * 10,
                level: Level::ALL[index % 5],
                stream: if index % 2 == 0 { Stream::Stdout } else { Stream::Stderr },
                kind: LineKind::None,
                source: if *named { "ab" } else { "" },
                text,
                spans: "",
            });
        }
        columns
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let query = prop_oneof![
            Just(None),
            "[abAB é]{1,3}".prop_map(|text| Some(Query::words(&text).expect("plain text"))),
            prop::sample::select(vec![
                "a.*b", "^a", "b$", "[^a]*b", "a\\s*b", "a|b$", "\\Aa", "b\\z", "(?-i)A", "\\bé"
            ])
            .prop_map(|pattern| Some(Query::pattern(pattern).expect("an expression"))),
        ];
        let levels = prop_oneof![Just(Vec::new()), Just(vec![Level::Error, Level::Info])];
        let times = (prop::option::of(0..200_i64), prop::option::of(0..200_i64));
        let others =
            (prop::option::of(prop::sample::select(vec![Stream::Stdout, Stream::Stderr])), any::<bool>());
        (query, levels, times, others).prop_map(|(query, levels, (from_ms, to_ms), (stream, source))| {
            Filter { levels, stream, source: source.then(|| "ab".to_owned()), from_ms, to_ms, query }
        })
    }

    proptest! {
        #[test]
        fn a_block_is_searched_as_its_lines_are(
            texts in prop::collection::vec(("[abAB é\\t]{0,8}", any::<bool>()), 1..30), filter in filters(),
        ) {
            let columns = columns(&texts);
            let one_by_one: Vec<usize> =
                columns.lines().enumerate().filter(|(_, line)| filter.takes(line)).map(|(index, _)| index).collect();
            prop_assert_eq!(&filter.within(&columns), &one_by_one);
            if !one_by_one.is_empty() {
                prop_assert!(filter.may_take_text(&columns.text, &columns.names), "nothing is left out unseen");
                let mut packed = Vec::new();
                super::super::block::pack(&columns, 0, false, &mut packed);
                prop_assert!(filter.may_take(&Head::read(&packed).expect("a head")));
            }
        }
    }

    #[test]
    fn an_expression_that_is_none_says_what_is_wrong() {
        let error = Query::pattern("a(b").expect_err("refused");
        assert!(error.contains("unclosed group"), "{error}");
        let error = Query::pattern("(a{1000}){1000}").expect_err("refused");
        assert!(error.contains("too large"), "{error}");
        assert!(Query::words(&"a".repeat(1001)).expect_err("refused").contains("1000"));
    }
}
