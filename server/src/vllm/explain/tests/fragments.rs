//! Wordings of many versions, alone and mixed with others.

use super::{fragments, id, of, word};
use crate::vllm::explain::Outcome;

#[test]
fn every_wording_ends_in_its_cause() {
    let fragments = fragments();
    assert!(fragments.len() >= 120);
    for (want, title, text) in &fragments {
        let found = of(text);
        assert_eq!(format!("{} {}", word(found.outcome), id(found.cause)), *want, "{title}\n{found}");
    }
}

#[test]
fn a_failure_has_evidence_that_is_in_the_file_and_a_way_out() {
    for (_, title, text) in fragments() {
        let found = of(&text);
        let lines: Vec<&str> = text.lines().collect();
        if found.outcome != Outcome::Failed {
            assert!(found.cause.is_none() && found.evidence.is_empty() && found.remedy.is_none(), "{title}");
            continue;
        }
        assert!((1..=10).contains(&found.evidence.len()), "{title}");
        assert!(found.remedy.is_some_and(|way| !way.text.is_empty()), "{title}");
        for line in &found.evidence {
            let index = usize::try_from(line.line).expect("small") - 1;
            assert_eq!(lines[index].trim_end(), line.text, "{title}");
        }
    }
}

#[test]
fn line_ends_of_windows_change_nothing() {
    for (want, title, text) in fragments() {
        let found = of(&text.replace('\n', "\r\n"));
        assert_eq!(format!("{} {}", word(found.outcome), id(found.cause)), want, "{title}");
    }
}

#[test]
fn numbers_and_names_are_facts() {
    let facts = |title: &str| {
        let all = fragments();
        let (_, _, text) = all.iter().find(|(_, t, _)| t == title).expect("it is there");
        of(text).facts
    };
    let found = facts("vLLM 0.9.2, the check at the start");
    assert_eq!(found.total_bytes.map(|b| b >> 20), Some(81_049));
    assert_eq!(found.available_bytes.map(|b| b >> 20), Some(60_743));
    assert_eq!(found.needed_bytes.map(|b| b >> 20), Some(72_949));
    let found = facts("broken in the middle of a word by a terminal");
    assert_eq!((found.asked_tokens, found.possible_tokens), (Some(100_000), Some(99_728)));
    let found = facts("torch names another process");
    assert_eq!(found.pid, Some(3_741_532));
    let found = facts("vLLM 0.5");
    assert_eq!((found.asked_tokens, found.possible_tokens), (Some(32_768), Some(8192)));
    let found = facts("uvicorn, after \"startup complete\", vLLM 0.5");
    assert_eq!(found.port, Some(8000));
    assert_eq!(facts("torch's store").port, Some(29_500));
    let found = facts("argparse, no number");
    assert_eq!((found.subject.as_deref(), found.value.as_deref()), (Some("--port"), Some("abc")));
    assert_eq!(facts("gated, vLLM 0.7").subject.as_deref(), Some("meta-llama/Llama-3.1-8B-Instruct"));
    assert_eq!(facts("Docker, wrong tag").subject.as_deref(), Some("vllm/vllm-openai:v9.9.9"));
    assert_eq!(facts("vLLM 0.8").subject.as_deref(), Some("--enable-chunked-prefil"));
}
