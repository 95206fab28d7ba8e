//! The table from parts that are made up here, and from real plans.

use super::super::hub::RepoName;
use super::super::recipes;
use super::super::row::{FigureKind, Fit, SpeedClass, WhyUnknown};
use super::*;
use crate::vllm::plan::{Ask, model_facts, plan};
use std::path::PathBuf;
use std::time::Duration;

const GIB: u64 = 1 << 30;

fn device(name: &str, gib: u64) -> Device {
    Device { index: 0, name: name.into(), total: gib * GIB, free: gib * GIB, holders: Vec::new() }
}

fn strings(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// As the session plans: the real plan, at this share.
fn planner(devices: &[Device], share: f64) -> impl Fn(&Wanted<'_>) -> Option<Planned> {
    let devices = devices.to_vec();
    move |wanted| {
        let ask = Ask { model: wanted.model.into(), args: wanted.args.to_vec(), share, ..Ask::default() };
        let facts = model_facts(&ask).ok()?;
        Some(Planned::new(&facts, plan(&facts, &ask, &devices)))
    }
}

fn cached(repo: &str, kind: Kind) -> Cached {
    Cached {
        repo: RepoName::parse(repo).expect(repo),
        path: PathBuf::from("/cache"),
        bytes: 100,
        bytes_incomplete: 0,
        snapshots: 1,
        complete: true,
        last_used: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_123)),
        kind,
    }
}

fn model() -> Kind {
    Kind::Model { architecture: None }
}

fn inputs<'a>(devices: &'a [Device], own: &'a [Own], cached: &'a [Cached]) -> Inputs<'a> {
    Inputs { recipes: recipes(), own, cached, devices, measured: &[], has_token: false }
}

fn row<'a>(rows: &'a [Row], title: &str) -> &'a Row {
    let mut found = rows.iter().filter(|row| row.title == title);
    let row = found.next().expect(title);
    assert!(found.next().is_none(), "{title} is there twice");
    row
}

#[test]
fn the_three_of_the_mission_come_first_with_what_is_published_and_what_is_computed() {
    let devices = [device("NVIDIA GeForce RTX 4090", 24)];
    let rows = rows(&inputs(&devices, &[], &[]), &planner(&devices, 0.5));
    let titles: Vec<&str> = rows.iter().take(3).map(|row| row.title.as_str()).collect();
    assert_eq!(titles, ["Qwen2.5-7B + LoRA", "Llama-3.1-8B GPTQ", "DeepSeek-7B"]);
    for row in rows.iter().take(3) {
        assert_eq!(row.fit, Fit::Fits, "{}", row.title);
        assert_eq!(row.published_vram.map(|f| f.kind), Some(FigureKind::Published));
        assert_eq!(row.vram.map(|f| f.kind), Some(FigureKind::Estimate));
        assert_eq!(
            row.speed.map(|f| (f.kind, f.value.class)),
            Some((FigureKind::Estimate, SpeedClass::Fast))
        );
        assert_eq!((row.token, row.disk), (Token::NotNeeded, None));
        let usable = row.usable.as_ref().expect("it can be used");
        assert_eq!(usable.set, [(Variable::Model, row.model.clone())]);
        assert!(usable.suggested_name.is_some() && !usable.args.is_empty());
    }
    let medium = rows.get(2).and_then(|row| row.published_speed).map(|f| f.value);
    assert_eq!(medium, Some(SpeedClass::Medium));
}

#[test]
fn a_recipe_that_is_cached_is_one_row_whatever_its_capitals() {
    let devices = [device("NVIDIA L4", 24)];
    let cached = [cached("qwen/qwen2.5-7b-instruct-awq", model()), cached("me/other", model())];
    let rows = rows(&inputs(&devices, &[], &cached), &planner(&devices, 0.9));
    assert_eq!(rows.len(), recipes().len() + 1);
    let disk = row(&rows, "Qwen2.5-7B + LoRA").disk.expect("on the disk");
    assert_eq!((disk.bytes, disk.complete), (100, true));
    assert_eq!(disk.last_used.map(|at| at.to_string()).as_deref(), Some("2026-11-22T12:00:00.123Z"));
    let other = row(&rows, "me/other");
    assert_eq!(other.fit, Fit::Unknown { why: WhyUnknown::NoFigures });
    assert!(other.usable.is_some() && other.licence.is_none() && other.speed.is_none());
}

#[test]
fn a_service_with_a_recipes_arguments_is_the_recipe_and_with_others_it_is_a_row_of_its_own() {
    let devices = [device("NVIDIA L4", 24)];
    let recipe = recipes()[1];
    let own =
        |service: &str, args: Vec<String>| Own { service: service.into(), model: recipe.model.into(), args };
    let own = [
        own("same", strings(&recipe.args.join(" "))),
        own("longer", strings("--max-model-len 32768")),
        own("longer-too", strings("--max-model-len 32768")),
        Own { service: "folder".into(), model: "/models/mine".into(), args: Vec::new() },
    ];
    let cached = [cached(recipe.model, model())];
    let rows = rows(&inputs(&devices, &own, &cached), &planner(&devices, 0.9));
    assert_eq!(row(&rows, recipe.title).services, ["same"]);
    let longer = row(&rows, recipe.model);
    assert_eq!(
        (longer.services.as_slice(), longer.context_tokens),
        (strings("longer longer-too").as_slice(), Some(32_768))
    );
    assert!(longer.disk.is_some() && longer.recipe.is_none());
    let folder = row(&rows, "/models/mine");
    assert_eq!((folder.token, folder.fit), (Token::NotNeeded, Fit::Unknown { why: WhyUnknown::NoFigures }));
}

#[test]
fn what_was_measured_here_wins_over_the_estimate_and_the_latest_over_the_earlier() {
    let devices = [device("NVIDIA L4", 24)];
    let at = Timestamp::from_millis;
    let measured = |gpu: &str, ms, tokens| Measured {
        model: recipes()[0].model.to_lowercase(),
        gpu: gpu.into(),
        at: at(ms),
        tokens_per_10s: tokens,
    };
    let measured =
        [measured("NVIDIA L4", 1, 400), measured("NVIDIA L4", 2, 450), measured("NVIDIA T4", 3, 100)];
    let inputs = Inputs { measured: &measured, ..inputs(&devices, &[], &[]) };
    let rows = rows(&inputs, &planner(&devices, 0.9));
    let speed = row(&rows, recipes()[0].title).speed.expect("a speed");
    assert_eq!(speed.kind, FigureKind::Measured { at: at(2) });
    assert_eq!(
        (speed.value.low_per_10s, speed.value.high_per_10s, speed.value.class),
        (450, 450, SpeedClass::Medium)
    );
    assert_eq!(row(&rows, recipes()[1].title).speed.map(|f| f.kind), Some(FigureKind::Estimate));
}

#[test]
fn use_brings_the_share_that_fits_and_nothing_where_none_does() {
    let devices = [device("NVIDIA GeForce RTX 4070", 12)];
    let rows = rows(&inputs(&devices, &[], &[]), &planner(&devices, 0.5));
    let tight = row(&rows, "Qwen2.5-7B + LoRA");
    let Fit::DoesNotFit { share_percent: Some(percent), .. } = tight.fit else { panic!("{:?}", tight.fit) };
    let usable = tight.usable.as_ref().expect("it can be used");
    assert_eq!(usable.set[1], (Variable::GpuMemoryUtilization, format!("0.{percent:02}")));
    let large = row(&rows, "gpt-oss-20b");
    assert!(matches!(large.fit, Fit::DoesNotFit { share_percent: None, .. }) && large.usable.is_none());
}

#[test]
fn use_shortens_what_fits_only_shorter_and_the_result_fits() {
    let devices = [device("NVIDIA L4", 24)];
    let cached = [cached("meta-llama/Llama-3.1-8B-Instruct", model())];
    let planner = planner(&devices, 0.9);
    let rows = rows(&inputs(&devices, &[], &cached), &planner);
    let long = row(&rows, "meta-llama/Llama-3.1-8B-Instruct");
    let Fit::FitsShorter { longest } = long.fit else { panic!("{:?}", long.fit) };
    let args = &long.usable.as_ref().expect("it can be used").args;
    assert_eq!(args[1].parse::<u64>().expect("tokens"), longest / 16 * 16);
    let again = planner(&Wanted { model: &long.model, args }).expect("a plan");
    assert_eq!(again.plan.verdict, Verdict::Fits);
}

#[test]
fn an_adapter_is_served_on_its_base() {
    let devices = [device("NVIDIA L4", 24)];
    let base = Some("Qwen/Qwen2.5-7B-Instruct-AWQ".to_owned());
    let cached = [
        cached("me/lydia", Kind::Adapter { base: base.clone(), rank: Some(24) }),
        cached("me/orphan", Kind::Adapter { base: None, rank: None }),
    ];
    let rows = rows(&inputs(&devices, &[], &cached), &planner(&devices, 0.9));
    let lydia = row(&rows, "me/lydia");
    assert_eq!((lydia.adapter_of.as_ref(), lydia.fit), (base.as_ref(), Fit::Fits));
    let usable = lydia.usable.as_ref().expect("it can be used");
    assert_eq!(usable.set, [(Variable::Model, "Qwen/Qwen2.5-7B-Instruct-AWQ".to_owned())]);
    assert_eq!(usable.args, strings("--enable-lora --max-lora-rank 32 --lora-modules lydia=me/lydia"));
    let orphan = row(&rows, "me/orphan");
    assert_eq!((orphan.fit, orphan.usable.as_ref()), (Fit::Unknown { why: WhyUnknown::NoBase }, None));
}

#[test]
fn without_a_device_nobody_can_tell_and_use_is_still_there() {
    let rows = rows(&inputs(&[], &[], &[]), &planner(&[], 0.5));
    for row in &rows {
        assert_eq!(row.fit, Fit::Unknown { why: WhyUnknown::NoGpu });
        assert!(row.usable.is_some() && row.speed.is_none() && row.vram.is_some());
    }
    assert_eq!(rows.len(), recipes().len());
}

#[test]
fn a_device_that_is_not_in_the_table_has_no_speed() {
    let devices = [device("NVIDIA GeForce RTX 9090", 24)];
    let rows = rows(&inputs(&devices, &[], &[]), &planner(&devices, 0.9));
    assert!(rows.iter().all(|row| row.speed.is_none() && row.fit == Fit::Fits));
}

#[test]
fn rows_come_back_from_the_wire_as_they_were() {
    let devices = [device("NVIDIA L4", 24)];
    let cached = [cached("me/other", model())];
    let rows = rows(&inputs(&devices, &[], &cached), &planner(&devices, 0.9));
    let text = serde_json::to_string(&rows).expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<Row>>(&text).expect("rows"), rows);
}
