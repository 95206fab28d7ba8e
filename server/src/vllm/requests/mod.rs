//! vLLM's lines about single requests, put together by the request's id: received, added, finished, aborted, and what they
//! say of tokens and parameters.
//!
//! In: lines of kind `request`, in order. Out: a bounded list. Which lines there are depends on the version and on its flags:
//! V0 tells the end of each, V1 only with `--enable-log-outputs`; neither says anything without `--enable-log-requests`.
//! What a line does not say is absent: nothing is guessed.

mod line;

use app::model::Timestamp;
use line::{About, End, read};
use std::collections::{HashMap, VecDeque};

/// How many requests are kept; the oldest go.
pub const KEPT: usize = 10_000;

/// What became of a request, as far as the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It came, and the engine has not said that it took it.
    #[default]
    Received,
    /// The engine took it; nothing tells its end.
    Added,
    /// Answered, and why it stopped there where that is told: `stop`, `length`…
    Finished(Option<String>),
    /// Whoever asked went away, or the engine was told to end it.
    Aborted,
    /// Not answered, with vLLM's own words.
    Failed(String),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// The number of the first line about it.
    pub line: u64,
    /// When the first line about it was written.
    pub at: Timestamp,
    /// When its end was told.
    pub ended: Option<Timestamp>,
    /// What became of it.
    pub fate: Fate,
    /// How many tokens the prompt has.
    pub prompt_tokens: Option<u64>,
    /// How many tokens were generated.
    pub output_tokens: Option<u64>,
    /// Parameters, by name: the length and temperature, others where they are not as usual.
    pub parameters: Vec<(&'static str, String)>,
    /// The LoRA adapter.
    pub adapter: Option<String>,
}

impl Request {
    /// From the first line about it to its end, in milliseconds.
    pub fn took_ms(&self) -> Option<u64> {
        self.ended.map(|ended| ended.since(self.at))
    }
}

/// The requests of one run.
#[derive(Debug, Default)]
pub struct Requests {
    /// In the order they came.
    list: VecDeque<Request>,
    /// Id to place, counted from the first request there ever was.
    places: HashMap<String, u64>,
    /// How many have gone from the front.
    gone: u64,
    lines: u64,
}

impl Requests {
    /// Takes a line: its number, its time, and its text with or without the place that it was written at.
    pub fn hear(&mut self, seq: u64, at: Timestamp, text: &str) {
        let Some(about) = read(text) else { return };
        self.lines += 1;
        match about {
            About::Received { id, details } => {
                let it = self.entry(id, seq, at);
                it.prompt_tokens = details.prompt_tokens.or(it.prompt_tokens);
                if !details.parameters.is_empty() {
                    it.parameters = details.parameters;
                }
                it.adapter = details.adapter.or_else(|| it.adapter.take());
            }
            About::Added { id } => {
                let it = self.entry(id, seq, at);
                if it.fate == Fate::Received {
                    it.fate = Fate::Added;
                }
            }
            About::Generated { id, tokens, end } => {
                let it = self.entry(id, seq, at);
                it.output_tokens = match (it.output_tokens, tokens) {
                    (Some(before), Some(more)) => Some(before.saturating_add(more)),
                    (before, more) => before.or(more),
                };
                if let End::Reason(reason) = end {
                    it.close(at, Fate::Finished(reason.map(str::to_owned)));
                }
            }
            About::Finished { id } => self.entry(id, seq, at).close(at, Fate::Finished(None)),
            About::Aborted { ids } => {
                for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
                    self.entry(id, seq, at).close(at, Fate::Aborted);
                }
            }
            About::Failed { id, why } => self.entry(id, seq, at).close(at, Fate::Failed(why.to_owned())),
        }
    }

    /// The requests that are kept, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Request> {
        self.list.iter().rev()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many more there were.
    pub const fn gone(&self) -> u64 {
        self.gone
    }

    /// How many lines spoke of requests.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The place of a request: under its id, or under what another part of vLLM calls it.
    fn place(&self, id: &str) -> Option<u64> {
        let known = |id: &str| self.places.get(id).copied();
        known(id)
            .or_else(|| known(line::without_suffix(id)?))
            // One of several answers to one request.
            .or_else(|| known(line::without_index(id)?))
            .or_else(|| known(line::without_suffix(line::without_index(id)?)?))
            // The first prompt of a request that may hold several.
            .or_else(|| known(&format!("{id}-0")))
    }

    fn entry(&mut self, id: &str, seq: u64, at: Timestamp) -> &mut Request {
        let found = self.place(id).and_then(|place| usize::try_from(place.checked_sub(self.gone)?).ok());
        let at_hand = found.filter(|index| *index < self.list.len());
        let index = at_hand.unwrap_or_else(|| {
            if self.list.len() >= KEPT
                && let Some(oldest) = self.list.pop_front()
            {
                // Another one may bear the name by now.
                if self.places.get(&oldest.id) == Some(&self.gone) {
                    self.places.remove(&oldest.id);
                }
                self.gone += 1;
            }
            self.places.insert(id.to_owned(), self.gone + self.list.len() as u64);
            self.list.push_back(Request::new(id, seq, at));
            self.list.len() - 1
        });
        &mut self.list[index]
    }
}

impl Request {
    fn new(id: &str, line: u64, at: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            line,
            at,
            ended: None,
            fate: Fate::default(),
            prompt_tokens: None,
            output_tokens: None,
            parameters: Vec::new(),
            adapter: None,
        }
    }

    /// Notes its end; what was told first counts, but for a reason that is told later.
    fn close(&mut self, at: Timestamp, fate: Fate) {
        match (&self.fate, &fate) {
            (Fate::Received | Fate::Added, _) => {
                self.ended = Some(at);
                self.fate = fate;
            }
            (Fate::Finished(None), Fate::Finished(Some(_))) => self.fate = fate,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
