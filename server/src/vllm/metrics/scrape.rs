//! What one text of `/metrics` says, summed over engines and models, whatever the version calls it.

use super::histogram::Histogram;
use super::names::Family;
use super::text::{self, Sample};
use app::model::Ended;
use std::borrow::Cow;

/// More reasons than this are not kept, nor longer ones (in bytes); vLLM has five to ten short ones.
const REASONS: usize = 32;
const REASON_LENGTH: usize = 64;

/// One text, read. Absent is what was not in it, or made no sense: not a number, below zero, infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// Requests that run.
    pub running: Option<f64>,
    /// Requests that wait, swapped ones among them.
    pub waiting: Option<f64>,
    /// KV cache in use, 0 to 1, of the fullest engine.
    pub kv_use: Option<f64>,
    /// Share of prefix cache hits as the old engine works it out itself, 0 to 1.
    pub hit_rate: Option<f64>,
    /// Preemptions since the engine started.
    pub preemptions: Option<f64>,
    /// Requests that ended since the engine started, by reason; then HTTP errors.
    pub ended: Vec<Ended>,
    /// What is compared with earlier texts.
    pub counters: Counters,
}

/// What only grows until the engine starts anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// When the server started, in seconds since the Unix epoch.
    pub started: Option<f64>,
    /// Prompt tokens worked through.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated.
    pub generation_tokens: Option<f64>,
    /// Prompt tokens looked up in the prefix cache (blocks in old versions).
    pub prefix_queries: Option<f64>,
    /// Those found.
    pub prefix_hits: Option<f64>,
    /// Time to first token, in seconds.
    pub ttft: Histogram,
    /// Time from one token to the next, in seconds.
    pub itl: Histogram,
}

/// Samples of one family, put together; not a number as soon as one of them is no count.
#[derive(Default)]
struct Sum(Option<f64>);

impl Sum {
    fn of(value: f64) -> Self {
        Self(Some(if value.is_finite() && value >= 0.0 { value } else { f64::NAN }))
    }

    fn add(&mut self, value: f64) {
        let Self(value) = Self::of(value);
        self.0 = Some(self.0.unwrap_or_default() + value.unwrap_or_default());
    }

    /// The highest instead of the sum.
    fn raise(&mut self, value: f64) {
        let Self(value) = Self::of(value);
        self.0 = match (self.0, value) {
            (Some(before), Some(value)) if before.is_nan() || before > value => Some(before),
            _ => value,
        };
    }

    fn get(&self) -> Option<f64> {
        self.0.filter(|value| value.is_finite())
    }
}

/// What both names of the same thing said.
#[derive(Default)]
struct Renamed {
    new: Sum,
    old: Sum,
}

impl Renamed {
    fn get(&self) -> Option<f64> {
        if self.new.0.is_some() { self.new.get() } else { self.old.get() }
    }
}

#[derive(Default)]
struct Reader {
    running: Sum,
    waiting: Sum,
    swapped: Sum,
    kv_use: Renamed,
    hit_rate: Sum,
    preemptions: Sum,
    started: Sum,
    prompt_tokens: Sum,
    generation_tokens: Sum,
    queries: Renamed,
    hits: Renamed,
    ttft: Histogram,
    itl: Histogram,
    old_itl: Histogram,
    ended: Vec<(String, Sum)>,
    /// Answers 4xx and 5xx.
    http: Option<[Sum; 2]>,
}

impl Scrape {
    /// Reads a text; `None` when it says nothing of vLLM's. Bytes that are no text are survived.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::default();
        text::read(body, Family::of, |family, sample| reader.take(&family, sample));
        let scrape = reader.finish();
        scrape.is_of_vllm().then_some(scrape)
    }

    fn is_of_vllm(&self) -> bool {
        let Counters { prompt_tokens, generation_tokens, prefix_queries, ttft, itl, .. } = &self.counters;
        [self.running, self.waiting, self.kv_use, *prompt_tokens, *generation_tokens, *prefix_queries]
            .iter()
            .any(Option::is_some)
            || ttft.is_reported()
            || itl.is_reported()
    }
}

impl Reader {
    fn take(&mut self, family: &Family, sample: Sample<'_>) {
        let value = sample.value;
        match family {
            Family::Running => self.running.add(value),
            Family::Waiting => self.waiting.add(value),
            Family::Swapped => self.swapped.add(value),
            // Each engine has a cache of its own; a server of several processes may repeat a line for each of them.
            Family::KvUse => self.kv_use.new.raise(value),
            Family::OldKvUse => self.kv_use.old.raise(value),
            Family::HitRate => self.hit_rate.raise(value),
            Family::Preemptions => self.preemptions.add(value),
            Family::PromptTokens => self.prompt_tokens.add(value),
            Family::GenerationTokens => self.generation_tokens.add(value),
            Family::Queries => self.queries.new.add(value),
            Family::OldQueries => self.queries.old.add(value),
            Family::Hits => self.hits.new.add(value),
            Family::OldHits => self.hits.old.add(value),
            Family::Ttft => bucket(&mut self.ttft, sample),
            Family::Itl => bucket(&mut self.itl, sample),
            Family::OldItl => bucket(&mut self.old_itl, sample),
            Family::Finished => self.end(sample.label("finished_reason"), value),
            // Named once there are some: few servers limit their queue.
            Family::Rejected if value > 0.0 => self.end(sample.label("reason"), value),
            Family::Rejected => {}
            Family::Http => self.answer(sample),
            Family::Started => self.started.raise(value),
        }
    }

    fn end(&mut self, reason: Option<Cow<'_, str>>, count: f64) {
        let Some(reason) = reason.filter(|reason| !reason.is_empty() && reason.len() <= REASON_LENGTH) else {
            return;
        };
        if let Some((_, sum)) = self.ended.iter_mut().find(|(known, _)| *known == reason) {
            sum.add(count);
        } else if self.ended.len() < REASONS {
            self.ended.push((reason.into_owned(), Sum::of(count)));
        }
    }

    /// `http_requests_total` of prometheus-fastapi-instrumentator: `status` is `4xx` or a full code, `handler` is `none`
    /// for paths that the server does not have, which says nothing of the API.
    fn answer(&mut self, sample: Sample<'_>) {
        let [client, server] = self.http.get_or_insert_default();
        match sample.raw_label("status") {
            _ if sample.raw_label("handler") == Some(b"none") => {}
            Some([b'4', _, _]) => client.add(sample.value),
            Some([b'5', _, _]) => server.add(sample.value),
            _ => {}
        }
    }

    fn finish(self) -> Scrape {
        let mut ended: Vec<Ended> = Vec::with_capacity(self.ended.len() + 2);
        let mut add = |reason: &str, sum: &Sum| {
            if let Some(count) = sum.get() {
                ended.push(Ended { reason: reason.to_owned(), count: count.round() as u64 });
            }
        };
        for (reason, sum) in &self.ended {
            add(reason, sum);
        }
        if let Some([client, server]) = self.http {
            // Requests are counted, so that none with such an answer is zero.
            add("4xx", &Sum(client.0.or(Some(0.0))));
            add("5xx", &Sum(server.0.or(Some(0.0))));
        }
        let waiting = match (self.waiting.get(), self.swapped.get()) {
            (Some(waiting), swapped) => Some(waiting + swapped.unwrap_or_default()),
            (None, _) => None,
        };
        Scrape {
            running: self.running.get(),
            waiting,
            kv_use: self.kv_use.get(),
            hit_rate: self.hit_rate.get(),
            preemptions: self.preemptions.get(),
            ended,
            counters: Counters {
                started: self.started.get(),
                prompt_tokens: self.prompt_tokens.get(),
                generation_tokens: self.generation_tokens.get(),
                prefix_queries: self.queries.get(),
                prefix_hits: self.hits.get(),
                ttft: self.ttft,
                itl: if self.itl.is_reported() { self.itl } else { self.old_itl },
            },
        }
    }
}

fn bucket(histogram: &mut Histogram, sample: Sample<'_>) {
    if let Some(bound) = sample.raw_label("le").and_then(text::number) {
        histogram.add(bound, sample.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(body: &str) -> Scrape {
        Scrape::parse(body.as_bytes()).expect("something of vLLM's")
    }

    fn ended(scrape: &Scrape) -> Vec<(&str, u64)> {
        scrape.ended.iter().map(|ended| (ended.reason.as_str(), ended.count)).collect()
    }

    /// Anything that makes a text one of vLLM's.
    const RUNNING: &str = "vllm:num_requests_running 1\n";

    #[test]
    fn engines_are_summed_and_the_fullest_cache_is_told() {
        let read = scrape(
            "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 2\n\
             vllm:num_requests_waiting{engine=\"0\"} 0\nvllm:num_requests_waiting{engine=\"1\"} 4\n\
             vllm:kv_cache_usage_perc{engine=\"0\"} 0.9\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.2\n\
             vllm:prompt_tokens_total{engine=\"0\"} 10\nvllm:prompt_tokens_total{engine=\"1\"} 5\n\
             vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} 1\n\
             vllm:request_success_total{engine=\"1\",finished_reason=\"stop\"} 2\n",
        );
        assert_eq!((read.running, read.waiting, read.kv_use), (Some(5.0), Some(4.0), Some(0.9)));
        assert_eq!(read.counters.prompt_tokens, Some(15.0));
        assert_eq!(ended(&read), [("stop", 3)]);
    }

    #[test]
    fn old_names_are_read_where_the_new_ones_are_missing() {
        let read = scrape(
            "vllm:num_requests_waiting 1\nvllm:num_requests_swapped 2\nvllm:gpu_cache_usage_perc 0.5\n\
             vllm:gpu_prefix_cache_queries_total 10\nvllm:gpu_prefix_cache_hits_total 4\n\
             vllm:time_per_output_token_seconds_bucket{le=\"0.1\"} 3\n\
             vllm:time_per_output_token_seconds_bucket{le=\"+Inf\"} 3\n",
        );
        assert_eq!((read.running, read.waiting, read.kv_use), (None, Some(3.0), Some(0.5)));
        assert_eq!((read.counters.prefix_queries, read.counters.prefix_hits), (Some(10.0), Some(4.0)));
        assert!(read.counters.itl.is_reported());
    }

    #[test]
    fn the_new_name_counts_where_both_are_told() {
        let read = scrape(
            "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n\
             vllm:gpu_prefix_cache_queries_total 10\nvllm:prefix_cache_queries_total 11\n",
        );
        assert_eq!((read.kv_use, read.counters.prefix_queries), (Some(0.25), Some(11.0)));
    }

    #[test]
    fn what_is_no_count_is_not_reported() {
        for value in ["NaN", "+Inf", "-1"] {
            let read = scrape(&format!(
                "{RUNNING}vllm:num_requests_waiting 3\nvllm:num_requests_waiting {value}\nvllm:kv_cache_usage_perc {value}\n"
            ));
            assert_eq!(read.kv_use, None, "{value}");
            assert_eq!(read.waiting, None, "{value}");
        }
        let read = scrape(
            "vllm:kv_cache_usage_perc NaN\nvllm:kv_cache_usage_perc 0.5\nvllm:num_requests_running 1\n",
        );
        assert_eq!(read.kv_use, None);
    }

    #[test]
    fn an_old_engine_without_prefix_cache_reports_no_hits() {
        assert_eq!(scrape(&format!("{RUNNING}vllm:gpu_prefix_cache_hit_rate -1\n")).hit_rate, None);
        assert_eq!(scrape(&format!("{RUNNING}vllm:gpu_prefix_cache_hit_rate 0.25\n")).hit_rate, Some(0.25));
    }

    #[test]
    fn http_errors_are_those_of_paths_that_exist() {
        let read = scrape(
            "vllm:num_requests_running 0\n\
             http_requests_total{handler=\"/v1/completions\",method=\"POST\",status=\"2xx\"} 8\n\
             http_requests_total{handler=\"/v1/completions\",method=\"POST\",status=\"4xx\"} 3\n\
             http_requests_total{handler=\"/v1/models\",method=\"GET\",status=\"401\"} 1\n\
             http_requests_total{handler=\"none\",method=\"GET\",status=\"4xx\"} 7\n",
        );
        assert_eq!(ended(&read), [("4xx", 4), ("5xx", 0)]);
        assert_eq!(ended(&scrape("vllm:num_requests_running 0\n")), []);
    }

    #[test]
    fn rejections_are_told_once_there_are_some() {
        let none = "vllm:admission_rejections_total{reason=\"max_num_queued_reqs\"} 0\n";
        let some = "vllm:admission_rejections_total{reason=\"max_num_queued_tokens\"} 2\n";
        assert_eq!(ended(&scrape(&format!("{RUNNING}{none}{some}"))), [("max_num_queued_tokens", 2)]);
    }

    #[test]
    fn reasons_without_end_are_not_kept() {
        let mut body = RUNNING.to_owned();
        for n in 0..1000 {
            body.push_str(&format!("vllm:request_success_total{{finished_reason=\"r{n}\"}} 1\n"));
        }
        body.push_str(&format!("vllm:request_success_total{{finished_reason=\"{}\"}} 1\n", "x".repeat(65)));
        assert_eq!(scrape(&body).ended.len(), REASONS);
    }

    #[test]
    fn a_text_without_anything_of_vllm_is_none() {
        for body in [
            "",
            "<html>",
            "process_start_time_seconds 1\n",
            "vllm:something_new 1\n",
            "sglang:num_running_reqs 1\n",
        ] {
            assert_eq!(Scrape::parse(body.as_bytes()), None, "{body}");
        }
    }
}
