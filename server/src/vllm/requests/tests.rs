use super::*;
use crate::logs::{Cleaner, Continuation, Splitter, Text};
use crate::vllm::grammar;
use app::model::{LineKind, Stream};

fn heard(lines: &[&str]) -> Requests {
    let mut requests = Requests::default();
    for (at, text) in lines.iter().enumerate() {
        requests.hear(at as u64 + 1, Timestamp::from_millis(at as i64 * 1000), text);
    }
    requests
}

fn one(lines: &[&str]) -> Request {
    let requests = heard(lines);
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.list[0].clone()
}

#[test]
fn v0_tells_of_a_request_from_its_first_line_to_its_last() {
    let it = one(&[
        "async_llm_engine.py:431] Received request cmpl-e3ab-0: prompt: 'say prompt_token_ids: [1]', prefix_pos: None,sampling params: SamplingParams(n=2, best_of=1, temperature=0.7, top_p=1.0, top_k=-1, stop=[', max_tokens=9'], ignore_eos=False, max_tokens=5, logprobs=None), prompt token ids: [9707, 11, 847, 829, 374], lora_request: None.",
        "async_llm_engine.py:110] Finished request cmpl-e3ab-0.",
    ]);
    assert_eq!((it.id.as_str(), it.line, it.took_ms()), ("cmpl-e3ab-0", 1, Some(1000)));
    assert_eq!((it.fate, it.prompt_tokens, it.output_tokens), (Fate::Finished(None), Some(5), None));
    let parameters: Vec<_> = it.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(parameters, ["n=2", "temperature=0.7", "max_tokens=5"]);
}

#[test]
fn v1_adds_digits_to_the_id_and_tells_an_end_only_with_outputs() {
    let received = "[request_logger.py:65] Received request chatcmpl-bdbc9b37be0c1bf3: params: SamplingParams(n=1, temperature=1.0, seed=None, max_tokens=8, min_tokens=0), lora_request: LoRARequest(lora_name='lydia', lora_int_id=1, lora_path='/x').";
    let added = "[async_llm.py:578] Added request chatcmpl-bdbc9b37be0c1bf3-92bb4eee.";
    let it = one(&[received, added]);
    assert_eq!((it.fate, it.ended, it.adapter.as_deref()), (Fate::Added, None, Some("lydia")));
    let details = "[request_logger.py:60] Request chatcmpl-bdbc9b37be0c1bf3 details: prompt: 'x', prompt_token_ids: [1, 2, 3], prompt_embeds shape: None.";
    let generated = "[request_logger.py:90] Generated response chatcmpl-bdbc9b37be0c1bf3: output: 'finish_reason: x', output_token_ids: [4, 5], finish_reason: length";
    let it = one(&[received, details, added, generated]);
    assert_eq!((it.prompt_tokens, it.output_tokens), (Some(3), Some(2)));
    assert_eq!(
        (it.fate, it.ended),
        (Fate::Finished(Some("length".into())), Some(Timestamp::from_millis(3000)))
    );
    assert_eq!(it.parameters, [("temperature", "1.0".to_owned()), ("max_tokens", "8".to_owned())]);
}

#[test]
fn a_streamed_answer_is_counted_piece_by_piece_and_ends_once() {
    let it = one(&[
        "Received request cmpl-7-0: params: SamplingParams(n=1), lora_request: None.",
        "Generated response cmpl-7 (streaming delta): output: 'a', output_token_ids: [4], finish_reason: None",
        "Generated response cmpl-7 (streaming delta): output: 'b', output_token_ids: [5, 6], finish_reason: stop",
        "Generated response cmpl-7 (streaming complete): output: 'ab', output_token_ids: None, finish_reason: streaming_complete",
    ]);
    assert_eq!((it.output_tokens, it.took_ms()), (Some(3), Some(2000)));
    assert_eq!(it.fate, Fate::Finished(Some("stop".into())));
}

#[test]
fn what_was_not_answered_is_told_apart() {
    let requests = heard(&[
        "[a.py:1] Received request chatcmpl-1: params: SamplingParams(n=1), lora_request: None.",
        "[a.py:1] Received request chatcmpl-2: params: SamplingParams(n=1), lora_request: None.",
        "[a.py:1] Received request chatcmpl-3: params: SamplingParams(n=1), lora_request: None.",
        "[a.py:1] Aborted request(s) chatcmpl-1-0123abcd,0_chatcmpl-2-0123abcd.",
        "[a.py:1] Request chatcmpl-1 aborted.",
        "[a.py:1] Request chatcmpl-3 failed (engine dead).",
        "[a.py:1] Aborted request cmpl-9-0.",
    ]);
    let fates: Vec<_> = requests.latest().map(|r| (r.id.as_str(), r.fate.clone())).collect();
    assert_eq!(
        fates,
        [
            ("cmpl-9-0", Fate::Aborted),
            ("chatcmpl-3", Fate::Failed("failed (engine dead)".into())),
            ("chatcmpl-2", Fate::Aborted),
            ("chatcmpl-1", Fate::Aborted),
        ]
    );
    assert_eq!((requests.lines(), requests.gone()), (7, 0));
}

#[test]
fn only_the_latest_are_kept_and_the_others_counted() {
    let mut requests = Requests::default();
    let many = KEPT as u64 + 500;
    for n in 0..many {
        requests.hear(n + 1, Timestamp::from_millis(0), &format!("Added request cmpl-{n}."));
    }
    // Of one that has gone only the end is known.
    requests.hear(many + 1, Timestamp::from_millis(9), "Finished request cmpl-3.");
    requests.hear(many + 2, Timestamp::from_millis(9), &format!("Finished request cmpl-{}.", many - 1));
    assert_eq!((requests.len(), requests.gone()), (KEPT, 501));
    assert_eq!(requests.places.len(), KEPT);
    let latest: Vec<_> = requests.latest().take(2).map(|r| (r.id.clone(), r.fate.clone(), r.line)).collect();
    let finished = Fate::Finished(None);
    assert_eq!(
        latest,
        [("cmpl-3".to_owned(), finished.clone(), many + 1), (format!("cmpl-{}", many - 1), finished, many)]
    );
}

#[test]
fn the_recorded_requests_are_found_by_their_kind() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/t2_pty_warmcache_logrequests.pty");
    let bytes = std::fs::read(path).expect("a recording");
    let (mut splitter, mut cleaner) = (Splitter::default(), Cleaner::default());
    let (mut before, mut seq) = (Continuation::default(), 0);
    let mut requests = Requests::default();
    splitter.push(0, &bytes, |raw| {
        seq += 1;
        let (line, _) = cleaner.clean(raw.bytes);
        let found = grammar::classify(Stream::Stdout, line, before);
        before = found.next;
        if let (LineKind::Request, Text::Part(part)) = (found.kind, found.text) {
            requests.hear(seq, Timestamp::from_millis(0), &line[part]);
        }
    });
    assert_eq!((requests.len(), requests.lines()), (9, 18));
    assert!(requests.latest().all(|r| r.fate == Fate::Added), "{requests:?}");
    let first = requests.latest().last().expect("one");
    assert_eq!(first.id, "cmpl-b02b1c0197c446bb-0");
    assert_eq!(first.parameters, [("temperature", "1.0".to_owned()), ("max_tokens", "8".to_owned())]);
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in "(Received request |Added request |Aborted request\\(s\\) |Generated response |Request |[a-z]{0,3}-[0-9a-f]{8}|[:,.'\\[\\] é]| failed| details: |params: SamplingParams\\(|, max_tokens=|, prompt_token_ids: |[0-9]_){0,10}") {
        let mut requests = Requests::default();
        requests.hear(1, Timestamp::from_millis(0), &text);
        requests.hear(2, Timestamp::from_millis(1), &text);
        proptest::prop_assert_eq!(requests.list.len() >= requests.places.len(), true);
    }
}
