//! What was done and what was refused: rows that are written once. The file itself refuses to change or delete them, but for
//! the oldest.

use super::Store;
use super::trouble::Later;
use app::api::AuditRow;
use app::model::Timestamp;
use rusqlite::{Row, ToSql, params};

/// So many rows of each class are kept; the migration has the same number.
pub const AUDIT_KEEPS: i64 = 100_000;

/// What rows rotate with: no number of one class drives out another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditClass {
    /// What administrators did, and the dashboard itself.
    Administration = 0,
    /// What was refused to anybody.
    Refused = 1,
    /// What viewers and operators did.
    Use = 2,
}

impl AuditClass {
    /// That of a row.
    pub fn of(row: &AuditRow) -> Self {
        match row.role.as_str() {
            _ if row.result != "done" => Self::Refused,
            "viewer" | "operator" => Self::Use,
            _ => Self::Administration,
        }
    }
}

/// Writes a row.
const NOTE: &str = "INSERT INTO audit (at_ms, who, role, address, action, target, result, detail, class, nth)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, (SELECT coalesce(max(nth), 0) + 1 FROM audit WHERE class = ?9))";

/// Which rows are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By whom.
    pub who: Option<String>,
    /// What.
    pub action: Option<String>,
    /// A text in target, detail, address or result.
    pub text: Option<String>,
    /// Only what was refused.
    pub refused: bool,
    /// Only rows before this number.
    pub before: Option<i64>,
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get(0)?,
        at: Timestamp::from_millis(row.get(1)?),
        who: row.get(2)?,
        role: row.get(3)?,
        address: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        result: row.get(7)?,
        detail: row.get(8)?,
    })
}

impl Store {
    /// Writes a row; its number is given.
    pub fn note(&self, entry: &AuditRow) {
        let class = AuditClass::of(entry);
        let number = class as i64;
        let texts = [
            &entry.who,
            &entry.role,
            &entry.address,
            &entry.action,
            &entry.target,
            &entry.result,
            &entry.detail,
        ];
        let values = std::iter::once(entry.at.millis().into()).chain(texts.map(|text| text.clone().into()));
        let values = values.chain([number.into()]).collect();
        // What was done is written down later; its time is its own. Refusals, of which anybody can make many, give way.
        let later =
            Later { what: "note", sql: NOTE, values, about: None, minor: class == AuditClass::Refused };
        if self.write_later(later) {
            self.with("rotate", |c| {
                let last = "SELECT max(nth) FROM audit WHERE class = ?1";
                let nth: i64 = c.query_row(last, [number], |r| r.get(0))?;
                // Not with each row: a thousand at a time.
                if nth % 1000 == 0 {
                    let oldest = params![number, nth - AUDIT_KEEPS];
                    c.execute("DELETE FROM audit WHERE class = ?1 AND nth <= ?2", oldest)?;
                }
                Ok(())
            });
        }
    }

    /// Rows, the newest first.
    pub fn audit(&self, filter: &AuditFilter, limit: usize) -> Vec<AuditRow> {
        let text = filter.text.as_ref().map(|text| {
            let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{plain}%")
        });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [&dyn ToSql; 6] =
            [&filter.who, &filter.action, &text, &filter.refused, &filter.before, &limit];
        self.with("audit", |c| {
            let mut rows = c.prepare(
                "SELECT id, at_ms, who, role, address, action, target, result, detail FROM audit
                    WHERE (?1 IS NULL OR who = ?1) AND (?2 IS NULL OR action = ?2)
                        AND (?3 IS NULL OR target || ' ' || detail || ' ' || address || ' ' || result LIKE ?3 ESCAPE '\\')
                        AND (NOT ?4 OR class = 1) AND (?5 IS NULL OR id < ?5)
                    ORDER BY id DESC LIMIT ?6",
            )?;
            let rows = rows.query_map(values, row)?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Names and actions that are in the audit, for a choice.
    pub fn audit_words(&self) -> (Vec<String>, Vec<String>) {
        let of = |column: &str| {
            self.with("audit_words", |c| {
                let mut rows =
                    c.prepare(&format!("SELECT DISTINCT {column} FROM audit ORDER BY {column} LIMIT 200"))?;
                let rows = rows.query_map([], |r| r.get(0))?;
                rows.collect()
            })
            .unwrap_or_default()
        };
        (of("who"), of("action"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_and_neither_changed_nor_deleted() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        for n in 0..30 {
            store.note(&AuditRow {
                at: Timestamp::from_millis(n),
                who: if n % 3 == 0 { "eve" } else { "root" }.into(),
                action: "start".into(),
                target: format!("service_{n}%"),
                result: if n % 2 == 0 { "done" } else { "refused: signed out" }.into(),
                ..AuditRow::default()
            });
        }
        let all = store.audit(&AuditFilter::default(), 100);
        assert_eq!((all.len(), all[0].target.as_str()), (30, "service_29%"));
        let found = |filter: AuditFilter| store.audit(&filter, 100).len();
        assert_eq!(found(AuditFilter { who: Some("eve".into()), ..Default::default() }), 10);
        assert_eq!(found(AuditFilter { refused: true, ..Default::default() }), 15);
        assert_eq!(found(AuditFilter { text: Some("e_1%".into()), ..Default::default() }), 1);
        assert_eq!(found(AuditFilter { before: Some(4), ..Default::default() }), 3);
        assert_eq!(store.audit_words().0, ["eve", "root"]);
        for statement in ["UPDATE audit SET who = 'x'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1"]
        {
            assert!(store.with("test", |c| c.execute(statement, [])).is_none(), "{statement}");
        }
        assert_eq!(found(AuditFilter::default()), 30);
    }

    #[test]
    fn rows_of_before_are_counted_by_their_kind() {
        let mut connection = rusqlite::Connection::open_in_memory().expect("opens");
        for step in &super::super::MIGRATIONS[..5] {
            connection.execute_batch(step).expect("an earlier version");
        }
        connection.pragma_update(None, "user_version", 5).expect("written");
        for n in 0..30 {
            let result = if n % 10 == 0 { "done" } else { "refused: signed out" };
            let row = "INSERT INTO audit (at_ms, who, role, address, action, target, result, detail) VALUES (?1, '', '', '', '', '', ?2, '')";
            connection.execute(row, params![n, result]).expect("written");
        }
        super::super::migrate(&mut connection, 5).expect("brought up to date");
        let counts = "SELECT class, min(nth), max(nth), count(*) FROM audit GROUP BY class ORDER BY class";
        let mut counts = connection.prepare(counts).expect("read");
        let counts =
            counts.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).expect("read");
        let counts: Vec<(bool, i64, i64, i64)> = counts.collect::<Result<_, _>>().expect("read");
        assert_eq!(counts, [(false, 1, 3, 3), (true, 1, 27, 27)]);
        assert!(connection.execute("UPDATE audit SET who = 'x'", []).is_err(), "as before");
    }

    #[test]
    fn refusals_do_not_drive_out_what_was_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let row = |result: &str| AuditRow { result: result.into(), ..AuditRow::default() };
        store.note(&row("done"));
        store.note(&row("refused: signed out"));
        // As if there had been very many refusals.
        let many = "INSERT INTO audit (at_ms, who, role, address, action, target, result, detail, class, nth)
            VALUES (0, '', '', '', '', '', 'refused: signed out', '', 1, ?1)";
        store.with("test", |c| c.execute(many, [AUDIT_KEEPS + 999]));
        store.note(&row("refused: signed out"));
        let left = store.audit(&AuditFilter::default(), 10);
        assert_eq!(
            left.iter().map(|row| row.result.as_str()).collect::<Vec<_>>(),
            ["refused: signed out", "refused: signed out", "done"]
        );
        assert_eq!(left.last().map(|row| row.id), Some(1));
        assert!(store.with("test", |c| c.execute("DELETE FROM audit WHERE class = 0", [])).is_none());
    }
}
