//! Batches that viewers share: whoever stands where another stood gets the same bytes.
//!
//! The latest batches form a chain: each goes on where the one before ended, and the first reached the end of the log. A viewer on the chain goes on along it; one that is
//! beside it gets lines up to where the chain goes on, and is on it from then on. So fifty viewers that keep up cost one
//! encoding and, each, a send.

use super::ring::Slice;
use bytes::Bytes;
use std::collections::VecDeque;

/// Batches and bytes of the chain.
const BATCHES: usize = 16;
const BYTES: usize = 1 << 20;

/// A finished batch.
#[derive(Clone, Debug)]
pub struct Shared {
    run: u64,
    first: u64,
    /// The last line's number.
    pub last: u64,
    /// `{"run":…,"lines":[…]}`.
    pub json: Bytes,
}

/// The latest batches of a log.
#[derive(Debug, Default)]
pub struct Chain {
    batches: VecDeque<Shared>,
    bytes: usize,
}

impl Chain {
    /// The batch that begins behind line `after`.
    pub fn behind(&self, run: u64, after: u64) -> Option<&Shared> {
        self.batches.iter().rev().find(|batch| batch.run == run && batch.first == after + 1)
    }

    /// Where a batch that begins behind line `after` should end, so that its reader comes onto the chain.
    pub fn next_end(&self, run: u64, after: u64) -> Option<u64> {
        let batch = self.batches.iter().find(|batch| batch.run == run && batch.last > after)?;
        Some(if batch.first > after + 1 { batch.first - 1 } else { batch.last })
    }

    /// Makes a batch of these lines. It joins the chain where it goes on with it, or where it begins another at the end of
    /// the log.
    pub fn make(&mut self, run: u64, slice: Slice, newest: bool) -> Shared {
        let (first, last) = (slice.first, slice.last);
        let batch = Shared { run, first, last, json: slice.join(run).into() };
        let joins = match self.batches.back() {
            Some(end) if (end.run, end.last) >= (run, first) => false,
            Some(end) => newest || (end.run, end.last + 1) == (run, first),
            None => newest,
        };
        if joins {
            self.bytes += batch.json.len();
            self.batches.push_back(batch.clone());
            while self.batches.len() > 1 && (self.batches.len() > BATCHES || self.bytes > BYTES) {
                self.bytes -= self.batches.pop_front().map_or(0, |gone| gone.json.len());
            }
        }
        batch
    }
}
