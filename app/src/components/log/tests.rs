//! The store, the filters and the reader of lines, against plain lists that do the same slowly.

use super::narrow::{Filter, Layout, Levels, Narrow, Query, Row};
use super::parse::{self, Counted};
use super::store::{Entry, Store};
use super::wrap::Wrap;
use crate::model::{Level, Line, LineKind, Lines, Span, Stream, Timestamp};

/// A small generator of numbers (xorshift), so that the tests are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn line(seq: u64, level: Level, text: &str) -> Line {
    Line {
        seq,
        time: Timestamp::from_millis(seq.cast_signed()),
        stream: Stream::Stdout,
        level,
        source: "APIServer".into(),
        text: text.into(),
        spans: Vec::new(),
        kind: LineKind::None,
    }
}

fn shown(store: &Store, narrow: &Narrow) -> Vec<String> {
    (0..narrow.len())
        .filter_map(|at| store.get(narrow.id(at)?))
        .map(|entry| match entry {
            Entry::Line(held) => format!("{}.{} {}", held.run, held.seq, store.text(held)),
            Entry::Gap(missing) => format!("gap {:?}", missing.count),
            Entry::Run { run, .. } => format!("run {run}"),
        })
        .collect()
}

fn all(store: &Store) -> Vec<String> {
    let mut narrow = Narrow::default();
    narrow.set(store, Filter { probes: true, ..Filter::default() }, Layout::default());
    shown(store, &narrow)
}

#[test]
fn lines_are_held_once_however_often_they_come() {
    let mut store = Store::default();
    store.begin(17, None);
    for seq in [5, 6, 6, 5, 7, 4, 7, 8] {
        store.line(17, &line(seq, Level::Info, "x"));
    }
    store.line(16, &line(9, Level::Info, "of an older run"));
    assert_eq!(all(&store), ["17.5 x", "17.6 x", "17.7 x", "17.8 x"]);
}

#[test]
fn a_hole_in_the_numbers_is_shown() {
    let mut store = Store::default();
    store.line(1, &line(1, Level::Info, "a"));
    store.line(1, &line(5, Level::Info, "b"));
    assert_eq!(all(&store), ["1.1 a", "gap Some(3)", "1.5 b"]);
}

#[test]
fn a_gap_of_the_server_is_shown_once_and_only_for_what_is_not_held() {
    let mut store = Store::default();
    store.line(1, &line(1, Level::Info, "a"));
    store.line(1, &line(2, Level::Info, "b"));
    store.gap(1, 1, Some(1));
    store.gap(1, 1, Some(4));
    store.line(1, &line(6, Level::Info, "c"));
    store.gap(1, 6, None);
    store.line(1, &line(99, Level::Info, "d"));
    assert_eq!(all(&store), ["1.1 a", "1.2 b", "gap Some(3)", "1.6 c", "gap None", "1.99 d"]);
}

#[test]
fn a_new_run_is_announced_once_and_begins_with_its_first_line() {
    let mut store = Store::default();
    store.line(3, &line(1, Level::Info, "a"));
    assert!(store.open_run(4, None));
    assert!(!store.open_run(4, None));
    store.line(4, &line(1, Level::Info, "b"));
    store.line(5, &line(3, Level::Info, "c"));
    assert_eq!(all(&store), ["3.1 a", "run 4", "4.1 b", "run 5", "gap Some(2)", "5.3 c"]);
    assert_eq!((store.run(), store.last()), (Some(5), Some(3)));
}

#[test]
fn the_oldest_lines_fall_out_by_number_and_by_bytes() {
    let mut store = Store::bounded(3, 1000);
    for seq in 1..=5 {
        store.line(1, &line(seq, Level::Info, "x"));
    }
    assert_eq!(all(&store), ["1.3 x", "1.4 x", "1.5 x"]);
    let mut store = Store::bounded(1000, 100);
    for seq in 1..=5 {
        store.line(1, &line(seq, Level::Info, &"y".repeat(30)));
    }
    assert_eq!(all(&store).len(), 2);
    store.line(1, &line(6, Level::Info, &"z".repeat(5000)));
    assert_eq!(all(&store).len(), 1, "a line beyond the bound is held alone");
}

#[test]
fn any_traffic_shows_what_a_plain_list_shows() {
    let words = ["INFO ready", "Ошибка загрузки", "GET /health", "", "ÄRGER groß", "🦀 crab"];
    for seed in 1..40 {
        let mut dice = Dice(seed * 7919);
        let limit = 50 + dice.roll(300) as usize;
        let mut store = Store::bounded(limit, 1 << 20);
        let mut plain: Vec<(Option<Level>, String)> = Vec::new();
        let mut narrow = Narrow::default();
        let (mut seq, run) = (0, 9);
        store.begin(run, Some(0));
        for _ in 0..600 {
            let skip = if dice.roll(20) == 0 { dice.roll(5) } else { 0 };
            if skip > 0 {
                plain.push((None, format!("gap Some({skip})")));
            }
            seq += 1 + skip;
            let level = Level::ALL[dice.roll(5) as usize];
            let text = words[dice.roll(words.len() as u64) as usize].repeat(1 + dice.roll(3) as usize);
            store.line(run, &line(seq, level, &text));
            // The same line again changes nothing.
            store.line(run, &line(seq, level, "again"));
            plain.push((Some(level), format!("{run}.{seq} {text}")));
            if dice.roll(10) == 0 {
                narrow.follow(&store);
            }
        }
        narrow.follow(&store);
        plain.drain(..plain.len() - limit);
        assert_eq!(
            shown(&store, &narrow),
            plain.iter().map(|p| p.1.clone()).collect::<Vec<_>>(),
            "seed {seed}"
        );

        for query in ["", "о", "ОШИБ", "ärger", "🦀", "get /H", "apiserver", "nowhere"] {
            let mut levels = Levels::ALL;
            for level in Level::ALL {
                levels = levels.with(level, dice.roll(3) > 0);
            }
            let filter = Filter { levels, query: Query::new(query), only: true, ..Filter::default() };
            narrow.set(&store, filter, Layout::default());
            let wanted: Vec<_> = plain
                .iter()
                .filter(|(level, text)| {
                    level.is_none_or(|level| {
                        let text = text.split_once(' ').map_or("", |t| t.1).to_lowercase();
                        levels.has(level)
                            && (text.contains(&query.to_lowercase())
                                || "apiserver".contains(&query.to_lowercase()))
                    })
                })
                .map(|p| p.1.clone())
                .collect();
            assert_eq!(shown(&store, &narrow), wanted, "seed {seed}, {query:?}");
        }
    }
}

fn marking(query: &str, only: bool) -> Filter {
    Filter { query: Query::new(query), only, ..Filter::default() }
}

#[test]
fn a_search_marks_and_only_when_asked_narrows() {
    let mut store = Store::default();
    for seq in 1..200 {
        store.line(1, &line(seq, Level::Info, if seq % 3 == 0 { "alpha beta" } else { "gamma" }));
    }
    let mut narrow = Narrow::default();
    narrow.set(&store, marking("ALPHA b", false), Layout::default());
    assert_eq!((narrow.len(), narrow.matches().len()), (199, 66));
    assert_eq!(narrow.matches().front(), Some(&(store.first_id() + 2)));
    store.line(1, &line(200, Level::Info, "alpha beta"));
    assert_eq!(narrow.follow(&store), (1, 0));
    assert_eq!((narrow.len(), narrow.matches().len()), (200, 67));
    narrow.set(&store, marking("alpha b", true), Layout::default());
    assert_eq!((narrow.len(), narrow.matches().len()), (67, 67));
    let third = narrow.id(3).expect("more than three match");
    assert_eq!((narrow.place(third), narrow.place(third + 1)), (3, 4));
    narrow.set(&store, marking("", true), Layout::default());
    assert_eq!((narrow.len(), narrow.matches().len()), (200, 0));
}

#[test]
fn matches_fall_out_with_their_lines() {
    let mut store = Store::bounded(10, 1 << 20);
    let mut narrow = Narrow::default();
    narrow.set(&store, marking("x", false), Layout::default());
    for seq in 1..=30 {
        store.line(1, &line(seq, Level::Info, if seq % 2 == 0 { "x" } else { "y" }));
        narrow.follow(&store);
    }
    assert_eq!((narrow.len(), narrow.matches().len()), (10, 5));
}

fn of(kind: LineKind, seq: u64, text: &str) -> Line {
    Line { kind, ..line(seq, Level::Info, text) }
}

#[test]
fn probes_are_hidden_and_counted_and_a_pipe_can_be_left_out() {
    let mut store = Store::default();
    for seq in 1..=9 {
        let kind = if seq % 3 == 0 { LineKind::Probe } else { LineKind::Access };
        let stream = if seq > 5 { Stream::Stderr } else { Stream::Stdout };
        store.line(1, &Line { stream, ..of(kind, seq, "GET /health") });
    }
    let mut narrow = Narrow::default();
    narrow.again(&store);
    assert_eq!((narrow.len(), narrow.hidden()), (6, 3));
    narrow.set(&store, Filter { probes: true, ..Filter::default() }, Layout::default());
    assert_eq!((narrow.len(), narrow.hidden()), (9, 0));
    narrow.set(&store, Filter { streams: [false, true], ..Filter::default() }, Layout::default());
    assert_eq!(
        (shown(&store, &narrow), narrow.hidden()),
        (vec!["1.7 GET /health".to_owned(), "1.8 GET /health".to_owned()], 2)
    );
}

const FOLD: Layout = Layout { fold: true, wrap: None };

#[test]
fn lines_of_one_kind_fold_to_their_last_and_the_last_moves_on() {
    let mut store = Store::default();
    let mut narrow = Narrow::default();
    narrow.set(&store, Filter::default(), FOLD);
    let kinds = [
        (LineKind::None, "head"),
        (LineKind::Trace, "Traceback (most recent call last):"),
        (LineKind::Trace, "  File \"a.py\", line 1"),
        (LineKind::Trace, "ValueError: x"),
        (LineKind::Stats, "throughput 1"),
        (LineKind::Probe, "GET /health"),
        (LineKind::Stats, "throughput 2"),
        (LineKind::Access, "POST /v1"),
        (LineKind::Access, "POST /v2"),
    ];
    for (at, (kind, text)) in kinds.into_iter().enumerate() {
        store.line(1, &of(kind, at as u64 + 1, text));
        // As it grows, or at once: the same.
        if at % 2 == 0 {
            narrow.follow(&store);
        }
    }
    narrow.follow(&store);
    let folded = ["1.1 head", "1.4 ValueError: x", "1.7 throughput 2", "1.8 POST /v1", "1.9 POST /v2"];
    assert_eq!(shown(&store, &narrow), folded);
    assert_eq!(
        (0..5).filter_map(|at| narrow.row(at)).map(|row| row.others).collect::<Vec<_>>(),
        [0, 2, 1, 0, 0]
    );
    let mut anew = Narrow::default();
    anew.set(&store, Filter::default(), FOLD);
    assert_eq!(shown(&store, &anew), folded);

    let error = store.place(1, 4);
    assert!(narrow.toggle(&store, error));
    assert_eq!(narrow.len(), 7);
    assert_eq!(narrow.row(3), Some(Row { id: error, part: 0, others: 2, open: true }));
    assert_eq!(narrow.row(2).map(|row| row.others), Some(0));
    assert!(!narrow.toggle(&store, store.place(1, 1)), "nothing is folded there");
    assert!(narrow.toggle(&store, error));
    assert_eq!(shown(&store, &narrow), folded);
    narrow.set(&store, Filter::default(), Layout::default());
    assert_eq!(narrow.len(), 8);
}

#[test]
fn an_unfolded_group_grows_unfolded_and_a_gap_parts_two() {
    let mut store = Store::default();
    let mut narrow = Narrow::default();
    narrow.set(&store, Filter::default(), FOLD);
    for seq in 1..=3 {
        store.line(1, &of(LineKind::Bar, seq, "step"));
    }
    narrow.follow(&store);
    assert!(narrow.toggle(&store, store.place(1, 3)));
    store.line(1, &of(LineKind::Bar, 4, "step"));
    narrow.follow(&store);
    let marks: Vec<_> =
        (0..narrow.len()).filter_map(|at| narrow.row(at)).map(|row| (row.others, row.open)).collect();
    assert_eq!(marks, [(0, true), (0, true), (0, true), (3, true)]);
    store.line(1, &of(LineKind::Bar, 6, "step"));
    store.line(1, &of(LineKind::Bar, 7, "step"));
    narrow.follow(&store);
    assert_eq!(shown(&store, &narrow)[3..], ["1.4 step", "gap Some(1)", "1.7 step"]);
}

#[test]
fn a_match_in_a_fold_is_counted_and_revealed() {
    let mut store = Store::default();
    for seq in 1..=5 {
        store.line(1, &of(LineKind::Trace, seq, if seq == 2 { "needle" } else { "hay" }));
    }
    let mut narrow = Narrow::default();
    narrow.set(&store, marking("needle", false), FOLD);
    assert_eq!((narrow.len(), narrow.matches().len()), (1, 1));
    assert_eq!(narrow.reveal(&store, store.place(1, 2)), Some(1));
    assert_eq!(narrow.len(), 5);
    narrow.set(&store, marking("needle", true), FOLD);
    assert_eq!(shown(&store, &narrow), ["1.2 needle"]);
    assert_eq!(narrow.reveal(&store, store.place(1, 3)), None, "it is left out");
    assert_eq!((narrow.filter(), narrow.layout()), (&marking("needle", true), FOLD));
}

#[test]
fn long_lines_and_json_take_several_rows() {
    let wrap = Wrap { columns: 60, head: 17, source: 15, indent: 32 };
    let layout = Layout { fold: true, wrap: Some(wrap) };
    let mut store = Store::bounded(4, 1 << 20);
    store.line(1, &line(1, Level::Info, &"a".repeat(60)));
    store.line(1, &line(2, Level::Info, "{\"a\":[1,2]}"));
    store.line(1, &line(3, Level::Info, "short"));
    let mut narrow = Narrow::default();
    narrow.set(&store, Filter::default(), layout);
    let parts = |narrow: &Narrow| -> Vec<(u64, u16)> {
        (0..narrow.len())
            .filter_map(|at| narrow.row(at))
            .map(|row| (row.id - store.first_id() + 1, row.part))
            .collect()
    };
    assert_eq!(parts(&narrow), [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0)]);
    let json = store.place(1, 2);
    assert!(narrow.toggle(&store, json));
    assert_eq!(narrow.laid_out(json).map(<[String]>::len), Some(6));
    assert_eq!(parts(&narrow).len(), 10);
    narrow.renumber(&|id| Some(id + 5));
    assert_eq!((narrow.laid_out(json), narrow.laid_out(json + 5).is_some()), (None, true));
    narrow.renumber(&|id| id.checked_sub(5));
    assert!(narrow.toggle(&store, json));
    assert_eq!(parts(&narrow).len(), 5);
    for seq in 4..=6 {
        store.line(1, &line(seq, Level::Info, "new"));
    }
    assert_eq!(narrow.follow(&store), (3, 4), "the rows of two lines went");
}

#[test]
fn folding_shows_what_folding_anew_shows() {
    for seed in 1..60 {
        let mut dice = Dice(seed * 104_729);
        let mut store = Store::default();
        let mut narrow = Narrow::default();
        narrow.set(&store, Filter::default(), FOLD);
        for seq in 1..=200 {
            let kind =
                [LineKind::None, LineKind::Trace, LineKind::Trace, LineKind::Stats][dice.roll(4) as usize];
            store.line(1, &of(kind, seq, "x"));
            if dice.roll(3) == 0 {
                narrow.follow(&store);
            }
            if dice.roll(15) == 0
                && let Some(id) = narrow.id(dice.roll(narrow.len().max(1) as u64) as usize)
            {
                narrow.follow(&store);
                narrow.toggle(&store, id);
            }
        }
        narrow.follow(&store);
        let rows = |narrow: &Narrow| (0..narrow.len()).filter_map(|at| narrow.row(at)).collect::<Vec<_>>();
        let grown = rows(&narrow);
        narrow.again(&store);
        assert_eq!(grown, rows(&narrow), "seed {seed}");
    }
}

#[test]
fn matches_are_found_where_they_lie() {
    let query = Query::new("ЛОГ");
    assert_eq!(query.find("каталог логов", 0), Some((8, 14)));
    assert_eq!(query.find("каталог логов", 14), Some((15, 21)));
    assert_eq!(query.find("каталог логов", 21), None);
    assert_eq!(Query::new("k").find("5 K", 0), Some((2, 3)), "the Kelvin sign is a k");
    assert_eq!(Query::new("").find("x", 0), None);
}

#[test]
fn the_wire_is_read_straight_into_the_store() {
    let mut lines = Lines {
        run: 2,
        lines: (1..=300)
            .map(|seq| line(seq, Level::ALL[seq as usize % 5], "say \"hé\"\\\n\u{2028}"))
            .collect(),
    };
    lines.lines[4].spans = vec![Span(0, 3, "bold red".into())];
    for (at, kind) in LineKind::ALL.into_iter().enumerate() {
        lines.lines[at].kind = kind;
        lines.lines[at].stream = Stream::Stderr;
    }
    let json = serde_json::to_string(&lines).expect("plain data");
    let (mut read, mut held) = (Store::default(), Store::default());
    let mut counted = Counted { run: 2, upto: 10, ..Counted::default() };
    parse::lines(&json, &mut read, &mut counted).expect("the wire's own form");
    for line in &lines.lines {
        held.line(2, line);
    }
    assert_eq!(all(&read), all(&held));
    let said = |store: &Store| -> Vec<_> {
        let entries = (store.first_id()..store.end_id()).filter_map(|id| store.get(id));
        let line =
            |entry: &Entry| if let Entry::Line(it) = entry { Some((it.stream, it.kind)) } else { None };
        entries.filter_map(line).collect()
    };
    assert_eq!(said(&read), said(&held));
    assert_eq!(
        said(&read)[8..11],
        [
            (Stream::Stderr, LineKind::Request),
            (Stream::Stderr, LineKind::Cut),
            (Stream::Stdout, LineKind::None)
        ]
    );
    let Some(Entry::Line(fifth)) = read.get(read.first_id() + 4) else { panic!("a line") };
    assert_eq!(read.spans(fifth).iter().map(|s| s.2.classes()).collect::<Vec<_>>(), ["ansi-bold ansi-red"]);
    assert_eq!(read.source(fifth), "APIServer");
    let counts = Level::ALL.map(|level| counted.counts.of(level));
    assert_eq!(counts, [58; 5], "the ten lines that the server had counted are not counted again");
    parse::lines(&json, &mut read, &mut counted).expect("again");
    assert_eq!((counted.counts.info, all(&read).len()), (58, 300));
}

#[test]
fn a_kind_that_this_page_does_not_know_is_none() {
    let mut store = Store::default();
    let json = r#"[1,"2026-11-22T12:00:00.000Z","stderr","info","","a",[],"poem","more",[1]]"#;
    parse::line(json, 1, &mut store).expect("a line of a newer server");
    let Some(Entry::Line(held)) = store.get(store.first_id()) else { panic!("a line") };
    assert_eq!((held.kind, held.stream), (LineKind::None, Stream::Stderr));
}

#[test]
fn batches_that_broke_anywhere_leave_whole_lines_alone() {
    let whole: Vec<String> = (1..40)
        .map(|seq| {
            format!(
                r#"[{seq},"2026-11-22T12:00:00.000Z","stdout","info","é","\u001b {seq} ü\n",[[0,3,"b"],[2,9,"f1"]],"probe"]"#
            )
        })
        .collect();
    let batch = format!(r#"{{"run":1,"lines":[{}]}}"#, whole.join(","));
    const ODD: &[u8] = b"\"\\[]{},:-09ex \xff";
    let mut dice = Dice(7);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let mut bytes = batch.clone().into_bytes();
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(bytes.len() as u64) as usize;
            match dice.roll(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = ODD[dice.roll(ODD.len() as u64) as usize],
                2 => bytes.insert(at, b"\"[,9"[dice.roll(4) as usize]),
                _ => drop(bytes.drain(at..(at + 30).min(bytes.len()))),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let (mut store, mut counted) = (Store::default(), Counted::default());
        match parse::lines(&text, &mut store, &mut counted) {
            Some(()) => read += 1,
            None => refused += 1,
        }
        // What is held can be shown, and what comes behind is understood.
        let held = all(&store).len();
        assert!(held <= 40, "{held} of {text}");
        parse::lines(&batch, &mut store, &mut counted).expect("whole");
        assert!(!all(&store).is_empty());
    }
    assert!(read > 100 && refused > 100, "both happen: {read}, {refused}");
}

#[test]
fn broken_payloads_are_errors_and_keep_what_came_before() {
    let (mut store, mut counted) = (Store::default(), Counted::default());
    let good = r#"[1,"2026-11-22T12:00:00.000Z","stdout","info","","a"]"#;
    for bad in [
        "",
        "[]",
        "{\"lines\":[]}",
        r#"{"run":1,"lines":[[2]]}"#,
        r#"{"run":1,"lines":[[2,"x","stdout","info","",""]]}"#,
    ] {
        assert!(parse::lines(bad, &mut store, &mut counted).is_none(), "{bad}");
    }
    assert!(parse::lines(&format!(r#"{{"run":1,"lines":[{good},[2,"#), &mut store, &mut counted).is_none());
    assert_eq!(all(&store), ["1.1 a"]);
}

/// Lines as a hostile program could make the server send them.
fn hostile(dice: &mut Dice, count: u64) -> Vec<Line> {
    let pieces = [
        "\"",
        "\\",
        "\n",
        "\t",
        "\u{1}",
        "\u{2028}",
        "é",
        "🦀",
        "]]}",
        ",[",
        "x",
        "\\u0041",
        "{\"run\":9",
        " ",
    ];
    (1..=count)
        .map(|seq| {
            let length = dice.roll(12);
            let text: String = (0..length).map(|_| pieces[dice.roll(pieces.len() as u64) as usize]).collect();
            let mut line = line(seq, Level::ALL[dice.roll(5) as usize], &text);
            line.source = pieces[dice.roll(pieces.len() as u64) as usize].into();
            line.time =
                Timestamp::from_millis(1_795_348_800_000 + dice.roll(1 << 40).cast_signed() - (1 << 39));
            line.kind = LineKind::ALL[dice.roll(LineKind::ALL.len() as u64) as usize];
            if dice.roll(3) == 0 && !text.is_empty() {
                line.spans = vec![Span(0, text.len() as u32, "bold red".into())];
            }
            line
        })
        .collect()
}

fn batch(lines: &[Line]) -> String {
    serde_json::to_string(&Lines { run: 7, lines: lines.to_vec() }).expect("plain data")
}

/// Everything that is held of the lines.
fn held(store: &Store) -> Vec<String> {
    (store.first_id()..store.end_id())
        .filter_map(|id| match store.get(id)? {
            Entry::Line(held) => {
                let spans: Vec<_> =
                    store.spans(held).iter().map(|(from, to, style)| (*from, *to, style.classes())).collect();
                let (source, text) = (store.source(held), store.text(held));
                Some(format!("{} {} {:?} {source:?} {text:?} {spans:?}", held.seq, held.time, held.level))
            }
            other => Some(format!("{other:?}")),
        })
        .collect()
}

#[test]
fn lines_are_the_same_however_they_are_cut_into_batches() {
    for seed in 1..60 {
        let mut dice = Dice(seed * 104_729);
        let lines = hostile(&mut dice, 120);
        let mut plain = Store::default();
        plain.begin(7, Some(0));
        for line in &lines {
            plain.line(7, line);
        }
        let (mut read, mut counted) = (Store::default(), Counted { run: 7, ..Counted::default() });
        read.begin(7, Some(0));
        let mut at = 0;
        while at < lines.len() {
            let end = (at + 1 + dice.roll(30) as usize).min(lines.len());
            // After a reconnect some lines may come again.
            let from = at.saturating_sub(dice.roll(4) as usize);
            parse::lines(&batch(&lines[from..end]), &mut read, &mut counted).expect("the wire's own form");
            at = end;
        }
        assert_eq!(held(&read), held(&plain), "seed {seed}");
        let counts = Level::ALL.map(|level| lines.iter().filter(|line| line.level == level).count() as u64);
        assert_eq!(Level::ALL.map(|level| counted.counts.of(level)), counts, "seed {seed}");
    }
}

#[test]
fn whatever_comes_nothing_is_held_that_was_not_whole() {
    for seed in 1..30 {
        let mut dice = Dice(seed * 15_485_863);
        let lines = hostile(&mut dice, 12);
        let json = batch(&lines);
        // Cut off anywhere.
        for end in (0..json.len()).filter(|end| json.is_char_boundary(*end)) {
            let (mut store, mut counted) = (Store::default(), Counted::default());
            store.begin(7, Some(0));
            assert!(parse::lines(&json[..end], &mut store, &mut counted).is_none(), "cut at {end} of {json}");
            let whole = all(&store);
            let mut plain = Store::default();
            plain.begin(7, Some(0));
            lines.iter().take(whole.len()).for_each(|line| assert!(plain.line(7, line)));
            assert_eq!(held(&store), held(&plain), "cut at {end} of {json}");
            // What comes next is read as if nothing had been broken.
            parse::lines(&json, &mut store, &mut counted).expect("whole");
            assert_eq!(all(&store).len(), lines.len(), "cut at {end} of {json}");
        }
        // Another character anywhere: understood or not, and no panic.
        for _ in 0..400 {
            let mut broken: Vec<char> = json.chars().collect();
            let at = dice.roll(broken.len() as u64) as usize;
            broken[at] = ['"', '\\', ']', '[', ',', '0', 'u', '{', 'é'][dice.roll(9) as usize];
            let (mut store, mut counted) = (Store::default(), Counted::default());
            let broken: String = broken.into_iter().collect();
            let _ = parse::lines(&broken, &mut store, &mut counted);
            assert!(all(&store).len() <= 2 * lines.len() + 1);
            held(&store);
        }
    }
}

#[test]
fn what_is_huge_deep_or_endless_is_read_or_refused_in_one_pass() {
    let long = "x\u{1}\"\\".repeat(2_500_000);
    let (mut store, mut counted) = (Store::default(), Counted::default());
    parse::lines(&batch(&[line(1, Level::Info, &long)]), &mut store, &mut counted).expect("10 MB of text");
    let Some(Entry::Line(first)) = store.get(store.first_id()) else { panic!("a line") };
    assert_eq!(store.text(first), long);
    for deep in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
        let json = format!("{{\"more\":{deep}");
        assert!(parse::lines(&json, &mut store, &mut counted).is_none());
    }
    let more = format!("{{\"run\":1,\"more\":{}1{},\"lines\":[]}}", "[".repeat(20), "]".repeat(20));
    parse::lines(&more, &mut store, &mut counted).expect("what is not known is skipped");
}

#[test]
fn one_line_for_ever_and_a_clock_that_jumps_back() {
    let mut store = Store::bounded(500, 1 << 20);
    let mut counted = Counted::default();
    for first in (1..50_000).step_by(100) {
        let lines: Vec<Line> = (first..first + 100)
            .map(|seq| {
                let mut same = line(seq, Level::Warning, "again");
                same.time = Timestamp::from_millis(if seq % 2 == 0 { 1_795_348_800_000 } else { -5 });
                same
            })
            .collect();
        parse::lines(&batch(&lines), &mut store, &mut counted).expect("the wire's own form");
    }
    let rows = held(&store);
    assert_eq!(rows.len(), 500);
    assert!(rows[0].starts_with("49501 1969-12-31T23:59:59.995Z Warning"), "{}", rows[0]);
    assert!(rows[499].starts_with("50000 2026-11-22T12:00:00.000Z Warning"), "{}", rows[499]);
    assert_eq!(counted.counts.warning, 50_000);
}

#[test]
fn earlier_lines_come_before_without_doubles() {
    let mut store = Store::bounded(60, 1 << 20);
    store.begin(1, None);
    for seq in 50..=80 {
        store.line(1, &line(seq, Level::Info, "late"));
    }
    let mut earlier = Store::default();
    for seq in 30..=52 {
        parse::line(
            &serde_json::to_string(&line(seq, Level::Info, "early")).expect("plain data"),
            1,
            &mut earlier,
        )
        .expect("a line");
    }
    assert_eq!(store.prepend(earlier), 20);
    let rows = all(&store);
    assert_eq!(
        (rows.len(), rows[0].as_str(), rows[19].as_str(), rows[20].as_str()),
        (51, "1.30 early", "1.49 early", "1.50 late")
    );
    let mut earlier = Store::default();
    for seq in 1..=29 {
        earlier.line(1, &line(seq, Level::Info, "first"));
    }
    assert_eq!(store.prepend(earlier), 9, "no more than there is room for");
    assert!(!store.has_room());
    assert_eq!(all(&store)[0], "1.21 first");
    for seq in 81..=140 {
        store.line(1, &line(seq, Level::Info, "new"));
    }
    assert_eq!(all(&store).first().map(String::as_str), Some("1.81 new"));
}

#[test]
fn a_gap_is_filled_in_its_place_and_ids_behind_it_stay() {
    let mut store = Store::bounded(100, 1 << 20);
    store.begin(1, Some(0));
    for seq in [1, 2, 10, 11] {
        store.line(1, &line(seq, Level::Info, "x"));
    }
    let (gap, behind) = (store.first_id() + 2, store.place(1, 10));
    assert!(matches!(store.get(gap), Some(Entry::Gap(_))));
    let mut part = Store::default();
    for seq in 2..=6 {
        part.line(1, &line(seq, Level::Info, "late"));
    }
    assert_eq!(store.fill(gap, &part), 4);
    let wanted =
        ["1.1 x", "1.2 x", "1.3 late", "1.4 late", "1.5 late", "1.6 late", "gap Some(3)", "1.10 x", "1.11 x"];
    assert_eq!(all(&store), wanted);
    assert_eq!(store.place(1, 10), behind);
    assert_eq!(store.held(behind).map(|held| held.seq), Some(10));
    assert_eq!((store.run(), store.last()), (Some(1), Some(11)));
    // Line 7 is gone for good, 8 and 9 come.
    let gap = store.place(1, 7);
    let mut rest = Store::default();
    for seq in 8..=12 {
        rest.line(1, &line(seq, Level::Info, "later"));
    }
    store.fill(gap, &rest);
    assert_eq!(all(&store)[6..], ["gap Some(1)", "1.8 later", "1.9 later", "1.10 x", "1.11 x"]);
    let lost = |store: &Store| match store.get(store.place(1, 7)) {
        Some(Entry::Gap(missing)) => missing.lost,
        other => panic!("{other:?}"),
    };
    assert!(lost(&store));
    store.line(1, &line(12, Level::Info, "y"));
    assert_eq!(all(&store).last().map(String::as_str), Some("1.12 y"));
}

#[test]
fn a_gap_of_unknown_size_is_filled_up_to_the_next_line_and_what_cannot_be_had_is_lost() {
    let mut store = Store::default();
    store.begin(1, Some(0));
    store.line(1, &line(1, Level::Info, "x"));
    store.gap(1, 1, None);
    store.line(1, &line(5, Level::Info, "x"));
    let gap = store.place(1, 2);
    assert_eq!(store.fill(gap, &Store::default()), 0);
    let Some(Entry::Gap(missing)) = store.get(gap) else { panic!("a gap") };
    assert_eq!((missing.count, missing.lost), (Some(3), true));
    let mut all_of_it = Store::default();
    for seq in 1..=9 {
        all_of_it.line(1, &line(seq, Level::Info, "late"));
    }
    store.fill(gap, &all_of_it);
    assert_eq!(all(&store), ["1.1 x", "1.2 late", "1.3 late", "1.4 late", "1.5 x"]);
    assert_eq!(store.fill(store.first_id(), &all_of_it), 0, "only a gap is filled");
}

#[test]
fn filling_a_gap_keeps_the_bounds() {
    let mut store = Store::bounded(10, 1 << 20);
    store.begin(1, Some(0));
    for seq in [1, 2, 3, 20, 21, 22] {
        store.line(1, &line(seq, Level::Info, "x"));
    }
    let mut part = Store::default();
    for seq in 4..=19 {
        part.line(1, &line(seq, Level::Info, "late"));
    }
    let behind = store.place(1, 20);
    store.fill(store.place(1, 4), &part);
    assert_eq!(all(&store).len(), 10);
    assert_eq!((store.place(1, 20), all(&store)[0].as_str()), (behind, "1.13 late"));
}

#[test]
fn the_newest_lines_can_be_let_go_of_and_come_again() {
    let mut store = Store::bounded(100, 1 << 20);
    store.begin(1, Some(0));
    for seq in 1..=50 {
        store.line(1, &line(seq, Level::Info, &"x".repeat(20_000)));
    }
    store.drop_newest(30);
    assert_eq!(
        (store.last_line().map(|held| held.seq), store.last(), all(&store).len()),
        (Some(20), Some(20), 20)
    );
    for seq in 18..=30 {
        store.line(1, &line(seq, Level::Info, "again"));
    }
    assert_eq!(all(&store)[20..22], ["1.21 again", "1.22 again"]);
    assert!(all(&store)[19].ends_with("xxx"));
    store.drop_newest(1000);
    assert_eq!((store.last(), all(&store).len(), store.has_room()), (None, 0, true));
}

#[test]
fn a_selection_spreads_over_what_is_shown_and_over_what_is_folded_into_it() {
    let mut store = Store::default();
    let kinds = [LineKind::None, LineKind::Trace, LineKind::Probe, LineKind::Trace, LineKind::None];
    for (kind, seq) in kinds.into_iter().zip(1..) {
        store.line(1, &of(kind, seq, "x"));
    }
    let mut narrow = Narrow::default();
    narrow.set(&store, Filter::default(), FOLD);
    let spread = |narrow: &Narrow, from: u64, to: u64| -> Vec<u64> {
        let ids = narrow.spread(&store, store.place(1, from), store.place(1, to));
        ids.map(|id| id - store.first_id() + 1).collect()
    };
    assert_eq!(spread(&narrow, 4, 5), [2, 4, 5]);
    assert_eq!(spread(&narrow, 1, 5), [1, 2, 4, 5]);
    assert!(narrow.toggle(&store, store.place(1, 4)));
    assert_eq!(spread(&narrow, 4, 5), [4, 5], "unfolded, each line is its own");
}

#[test]
fn lines_that_follow_are_put_behind_without_doubles() {
    let mut store = Store::bounded(8, 1 << 20);
    store.begin(1, None);
    for seq in 1..=5 {
        store.line(1, &line(seq, Level::Info, "held"));
    }
    let mut more = Store::default();
    for seq in [4, 5, 6, 7, 9, 10] {
        more.line(1, &line(seq, Level::Info, "more"));
    }
    store.append(&more);
    let wanted =
        ["1.3 held", "1.4 held", "1.5 held", "1.6 more", "1.7 more", "gap Some(1)", "1.9 more", "1.10 more"];
    assert_eq!(all(&store), wanted);
    assert_eq!(store.last(), Some(10));
}
