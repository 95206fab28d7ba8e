//! What is remembered of each run: when, from what, with which settings, how its start went and how it ended.

use super::Store;
use crate::settings::fields::{Values, shown};
use app::model::{PhaseTime, RunInfo, ServiceName, State, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

const COLUMNS: &str = "run, service, started_ms, ready_ms, ended_ms, code, COALESCE(ending, outcome), phases, image, configuration";

/// How a failed state begins as text.
const FAILED: &str = r#"{"state":"failed"%"#;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// When.
    pub at: Option<Timestamp>,
    /// The exit code, where the runtime knows it.
    pub code: Option<i64>,
    /// Stopped, or failed and why.
    pub state: State,
}

/// Whether a state can be how a run ended: a launch that was refused afterwards is not.
const fn is_end(state: &State) -> bool {
    match state {
        State::Stopped { .. } => true,
        State::Failed { failure } => failure.kind.is_end(),
        _ => false,
    }
}

impl Store {
    /// Opens a new run. `None` when it could not be written: the caller goes on without a number. What is known of this very
    /// instance from a run before goes with it.
    pub fn open_run(
        &self,
        service: &ServiceName,
        instance: &str,
        started: Timestamp,
        log_from_ns: i64,
    ) -> Option<u64> {
        self.with("open_run", |c| {
            c.execute(
                "INSERT INTO run (service, instance, started_ms, log_from_ns) VALUES (?1, ?2, ?3, ?4)",
                params![service.as_str(), instance, started.millis(), log_from_ns],
            )?;
            let run = c.last_insert_rowid();
            c.execute(
                "UPDATE run SET (ready_ms, outcome, ended_ms, code, ending, image, configuration, phases) =
                    (SELECT ready_ms, outcome, ended_ms, code, ending, image, configuration, phases FROM run
                        WHERE service = ?1 AND instance = ?2 AND run < ?3 ORDER BY run DESC LIMIT 1)
                    WHERE run = ?3",
                params![service.as_str(), instance, run],
            )?;
            Ok(run.unsigned_abs())
        })
    }

    /// Remembers what a run was launched from and with.
    pub fn set_launch(&self, run: u64, image: Option<&str>, configuration: Option<&Values>) {
        let configuration = configuration.and_then(|values| serde_json::to_string(values).ok());
        self.write_or_wait(
            "set_launch",
            "UPDATE run SET image = ?2, configuration = ?3 WHERE run = ?1",
            vec![run.cast_signed().into(), image.map(str::to_owned).into(), configuration.into()],
            None,
        );
    }

    /// Remembers how the start of a run went.
    pub fn set_phases(&self, run: u64, phases: &[PhaseTime]) {
        let Ok(text) = serde_json::to_string(phases) else { return };
        self.write_or_wait(
            "set_phases",
            "UPDATE run SET phases = ?2 WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)",
            vec![run.cast_signed().into(), text.into()],
            None,
        );
    }

    /// Remembers how a run ended. What failed stays failed, whatever is asked of the service later; a cause that is found
    /// later counts.
    pub fn set_end(&self, run: u64, end: &RunEnd) {
        let Some(state) = serde_json::to_string(&end.state).ok().filter(|_| is_end(&end.state)) else {
            return;
        };
        let failed = matches!(end.state, State::Failed { .. });
        self.write_or_wait(
            "set_end",
            "UPDATE run SET ended_ms = COALESCE(ended_ms, ?2), code = COALESCE(code, ?3),
                ending = CASE WHEN ?5 OR ending IS NULL OR ending NOT LIKE ?6 THEN ?4 ELSE ending END
                WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)",
            vec![
                run.cast_signed().into(),
                end.at.map(Timestamp::millis).into(),
                end.code.into(),
                state.into(),
                failed.into(),
                FAILED.to_owned().into(),
            ],
            None,
        );
    }

    /// Runs of a service, the newest first, only those before the one of that number where one is given.
    pub fn runs(&self, service: &ServiceName, limit: usize, before: Option<u64>) -> Vec<RunInfo> {
        let before = before.map_or(i64::MAX, u64::cast_signed);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with("runs", |c| {
            let mut rows = c.prepare(&format!(
                "SELECT {COLUMNS} FROM run WHERE service = ?1 AND run < ?2 ORDER BY run DESC LIMIT ?3"
            ))?;
            let rows = rows.query_map(params![service.as_str(), before, limit], info)?;
            rows.filter_map(Result::transpose).collect()
        })
        .unwrap_or_default()
    }

    /// One run.
    pub fn run(&self, run: u64) -> Option<RunInfo> {
        self.with("run", |c| {
            c.query_row(&format!("SELECT {COLUMNS} FROM run WHERE run = ?1"), [run.cast_signed()], info)
                .optional()
        })??
    }

    /// Forgets a run whose log is gone. Its number is never used again.
    pub fn forget_run(&self, run: u64) {
        self.with("forget_run", |c| c.execute("DELETE FROM run WHERE run = ?1", [run.cast_signed()]));
    }
}

/// One row; `None` where its service has a name that is none.
fn info(row: &Row<'_>) -> rusqlite::Result<Option<RunInfo>> {
    let name: String = row.get(1)?;
    let Ok(service) = ServiceName::parse(&name) else { return Ok(None) };
    let text = |at| row.get::<_, Option<String>>(at);
    let time = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis));
    let outcome: Option<State> = text(6)?.and_then(|t| serde_json::from_str(&t).ok()).filter(is_end);
    // Rows of earlier versions say when only inside of how.
    let told = match &outcome {
        Some(State::Stopped { since, .. }) => *since,
        Some(State::Failed { failure }) => Some(failure.at),
        _ => None,
    };
    Ok(Some(RunInfo {
        run: row.get::<_, i64>(0)?.unsigned_abs(),
        service,
        started: Timestamp::from_millis(row.get(2)?),
        ready: time(3)?,
        ended: time(4)?.or(told),
        live: false,
        code: row.get(5)?,
        outcome,
        phases: text(7)?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default(),
        image: text(8)?,
        configuration: text(9)?.and_then(|t| serde_json::from_str(&t).ok()).map(shown),
        lines: None,
        bytes: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{MIGRATIONS, migrate};
    use super::*;
    use app::model::{Cause, Diagnosis, Failure, FailureKind, Phase};
    use rusqlite::Connection;

    fn name() -> ServiceName {
        ServiceName::parse("vllm").expect("a name")
    }

    fn open() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        (dir, store)
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn failed(kind: FailureKind, cause: Option<Cause>) -> State {
        let diagnosis = cause.map(|cause| Diagnosis {
            cause,
            evidence: Vec::new(),
            facts: app::model::Facts::default(),
            remedies: Vec::new(),
        });
        State::Failed { failure: Box::new(Failure { kind, at: at(9), diagnosis }) }
    }

    const EXITED: FailureKind = FailureKind::Exited { code: 1, was_ready: false };

    #[test]
    fn a_run_is_told_whole_the_newest_first() {
        let (_dir, store) = open();
        let values = Values::from([("VLLM_MODEL".to_owned(), "a/b".to_owned())]);
        let phases = [PhaseTime { phase: Phase::Load, at: at(2), took_ms: Some(5) }];
        let first = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        store.set_launch(first, Some("vllm:1"), Some(&values));
        store.set_phases(first, &phases);
        store.set_ready(first, at(7));
        let ended = State::Stopped { since: Some(at(20)), note: None };
        store.set_end(first, &RunEnd { at: Some(at(20)), code: Some(0), state: ended.clone() });
        let second = store.open_run(&name(), "b@1", at(30), 0).expect("written");
        let other = ServiceName::parse("other").expect("a name");
        store.open_run(&other, "c@1", at(31), 0).expect("written");

        let runs = store.runs(&name(), 10, None);
        assert_eq!(runs.iter().map(|r| r.run).collect::<Vec<_>>(), [second, first]);
        let found = &runs[1];
        assert_eq!((found.started, found.ready, found.ended), (at(1), Some(at(7)), Some(at(20))));
        assert_eq!((found.code, found.outcome.as_ref()), (Some(0), Some(&ended)));
        assert_eq!((found.image.as_deref(), found.configuration.as_ref()), (Some("vllm:1"), Some(&values)));
        assert_eq!(
            (found.phases.as_slice(), found.length_ms(), found.ready_ms()),
            (&phases[..], Some(19), Some(6))
        );
        assert_eq!(runs[0].outcome, None);
        assert_eq!(store.runs(&name(), 1, None).len(), 1);
        assert_eq!(store.runs(&name(), 10, Some(second)).as_slice(), std::slice::from_ref(found));
        assert_eq!(store.run(first).as_ref(), Some(found));
    }

    #[test]
    fn what_failed_stays_failed_and_a_refused_launch_is_no_end_of_the_run_before() {
        let (_dir, store) = open();
        let run = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        let end = |state| RunEnd { at: Some(at(9)), code: Some(1), state };
        store.set_end(run, &end(failed(EXITED, None)));
        store.set_end(run, &end(failed(EXITED, Some(Cause::DoesNotFit))));
        store.set_end(run, &end(State::Stopped { since: None, note: None }));
        store.set_end(run, &end(failed(FailureKind::ImageMissing { image: "x".into() }, None)));
        store.set_outcome(run, &failed(FailureKind::ImageMissing { image: "x".into() }, None));
        let found = store.run(run).expect("known");
        assert_eq!(found.outcome, Some(failed(EXITED, Some(Cause::DoesNotFit))));

        // Stopped as far as was seen, until its log proved a failure.
        let run = store.open_run(&name(), "b@1", at(1), 0).expect("written");
        store.set_end(run, &end(State::Stopped { since: None, note: None }));
        store.set_end(run, &end(failed(EXITED, Some(Cause::PortInUse))));
        assert_eq!(store.run(run).expect("known").outcome, Some(failed(EXITED, Some(Cause::PortInUse))));
    }

    #[test]
    fn a_second_run_of_the_same_instance_knows_what_the_first_knew() {
        let (_dir, store) = open();
        let first = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        store.set_launch(first, Some("vllm:1"), None);
        let second = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        store.set_end(second, &RunEnd { at: Some(at(5)), code: Some(3), state: failed(EXITED, None) });
        for run in [first, second] {
            let found = store.run(run).expect("known");
            assert_eq!(
                (found.image.as_deref(), found.code, found.ended),
                (Some("vllm:1"), Some(3), Some(at(5)))
            );
        }
    }

    #[test]
    fn a_forgotten_runs_number_is_never_used_again() {
        let (_dir, store) = open();
        let run = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        store.forget_run(run);
        assert_eq!(store.run(run), None);
        assert!(store.open_run(&name(), "a@1", at(1), 0).expect("written") > run);
    }

    #[test]
    fn every_earlier_version_of_the_file_is_brought_up_to_date_with_what_is_in_it() {
        for version in 0..=MIGRATIONS.len() {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let mut connection = Connection::open(dir.path().join("services.db")).expect("opens");
            for step in &MIGRATIONS[..version] {
                connection.execute_batch(step).expect("a step");
            }
            connection
                .pragma_update(None, "user_version", i64::try_from(version).expect("small"))
                .expect("written");
            let ended = serde_json::to_string(&failed(EXITED, Some(Cause::DoesNotFit))).expect("plain data");
            if version > 0 {
                connection
                    .execute(
                        "INSERT INTO run (service, instance, started_ms, log_from_ns, ready_ms, outcome) VALUES ('vllm', 'a@1', 5, 0, 6, ?1)",
                        [&ended],
                    )
                    .expect("written");
                connection.execute("INSERT INTO run (service, instance, started_ms, log_from_ns) VALUES ('not a name', 'b', 7, 0)", []).expect("written");
            }
            migrate(&mut connection, version).expect("brought up to date");
            drop(connection);
            let store = Store::open(dir.path()).expect("opens");
            let runs = store.runs(&name(), 10, None);
            assert_eq!(runs.len(), usize::from(version > 0), "version {version}");
            for found in &runs {
                assert_eq!((found.started, found.ready, found.ended), (at(5), Some(at(6)), Some(at(9))));
                assert_eq!(found.outcome, Some(failed(EXITED, Some(Cause::DoesNotFit))));
                assert_eq!((found.configuration.as_ref(), found.phases.as_slice()), (None, &[][..]));
            }
            let run = store.open_run(&name(), "new@1", at(50), 0).expect("written");
            store.set_end(
                run,
                &RunEnd {
                    at: Some(at(60)),
                    code: Some(0),
                    state: State::Stopped { since: None, note: None },
                },
            );
            assert_eq!(store.runs(&name(), 1, None)[0].ended, Some(at(60)), "version {version}");
        }
    }
}
