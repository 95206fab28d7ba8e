//! Accounts, their sessions, devices and tokens. Passwords are here as hashes that their owner alone can make, and what is
//! sent with requests as its SHA-256: who reads the file cannot sign in with it.

use super::Store;
use app::api::Role;
use app::model::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Sessions and devices of one account at most; the oldest go.
const MOST_SESSIONS: i64 = 50;
const MOST_DEVICES: i64 = 50;
/// Tokens of one account at most: no more are made.
const MOST_TOKENS: i64 = 50;
/// How exactly it is remembered when something was used last.
const SEEN_EVERY_MS: i64 = 60_000;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number, never used again.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// The password's hash in PHC form.
    pub password: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its password was set.
    pub changed: Timestamp,
}

/// A session that begins.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Of its token.
    pub hash: &'a Hash,
    /// Whose.
    pub account: i64,
    /// When.
    pub now: Timestamp,
    /// From which address.
    pub address: &'a str,
    /// With which browser, in its own words.
    pub agent: &'a str,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub account: i64,
    /// When it began.
    pub created: Timestamp,
    /// When it was used last, to a minute.
    pub seen: Timestamp,
    /// From which address it began.
    pub address: String,
    /// With which browser.
    pub agent: String,
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub account: i64,
    /// The owner's name.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// What it may: never more than its owner.
    pub role: Role,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
    /// When it was used last, to a minute.
    pub used: Option<Timestamp>,
}

const ACCOUNT: &str = "id, name, role, password, created_ms, changed_ms";
const SESSION: &str = "id, account, created_ms, seen_ms, address, agent";
const TOKEN: &str =
    "token.id, account, account.name, token.name, token.role, token.created_ms, expires_ms, used_ms";

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_millis)
}

fn role(row: &Row<'_>, at: usize) -> rusqlite::Result<Role> {
    let text: String = row.get(at)?;
    text.parse().map_err(|()| rusqlite::Error::InvalidColumnName(text))
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        role: role(row, 2)?,
        password: row.get(3)?,
        created: time(row, 4)?,
        changed: time(row, 5)?,
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        id: row.get(0)?,
        account: row.get(1)?,
        created: time(row, 2)?,
        seen: time(row, 3)?,
        address: row.get(4)?,
        agent: row.get(5)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: row.get(0)?,
        account: row.get(1)?,
        owner: row.get(2)?,
        name: row.get(3)?,
        role: role(row, 4)?,
        created: time(row, 5)?,
        expires: time(row, 6)?,
        used: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
    })
}

/// Whether another admin is left without this account.
fn others_administer(c: &Connection, id: i64) -> rusqlite::Result<bool> {
    c.query_row("SELECT EXISTS (SELECT 1 FROM account WHERE role = 'admin' AND id <> ?1)", [id], |r| r.get(0))
}

impl Store {
    /// How many accounts there are; `None` when the store cannot tell, which is no reason to let anybody in.
    pub fn account_count(&self) -> Option<u64> {
        self.with("account_count", |c| {
            c.query_row("SELECT count(*) FROM account", [], |r| r.get::<_, i64>(0))
        })
        .map(i64::unsigned_abs)
    }

    /// Makes an account. `first` only makes the very first one. `Some(false)` when there is one of this name already, or, of
    /// the first, any; `None` when it could not be written.
    pub fn add_account(
        &self,
        name: &str,
        role: Role,
        password: &str,
        now: Timestamp,
        first: bool,
    ) -> Option<bool> {
        self.with_file("add_account", |c| {
            c.execute(
                "INSERT INTO account (name, role, password, created_ms, changed_ms)
                    SELECT ?1, ?2, ?3, ?4, ?4 WHERE NOT (?5 AND EXISTS (SELECT 1 FROM account))
                    ON CONFLICT DO NOTHING",
                params![name, role.as_str(), password, now.millis(), first],
            )
            .map(|rows| rows == 1)
        })
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Account> {
        self.with("accounts", |c| {
            let mut rows = c.prepare(&format!("SELECT {ACCOUNT} FROM account ORDER BY name"))?;
            let rows = rows.query_map([], account)?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// The account of this name, in any case.
    pub fn account_named(&self, name: &str) -> Option<Account> {
        self.with("account_named", |c| {
            c.query_row(&format!("SELECT {ACCOUNT} FROM account WHERE name = ?1"), [name], account).optional()
        })?
    }

    /// Gives an account another role. `Some(false)` when there is none, or it is the last that administers.
    pub fn set_role(&self, id: i64, role: Role) -> Option<bool> {
        self.with_file("set_role", |c| {
            if role != Role::Admin && !others_administer(c, id)? {
                return Ok(false);
            }
            c.execute("UPDATE account SET role = ?2 WHERE id = ?1", params![id, role.as_str()])
                .map(|rows| rows == 1)
        })
    }

    /// Sets a password and ends all sessions but `keep`; devices are forgotten, too.
    pub fn set_password(
        &self,
        id: i64,
        password: &str,
        now: Timestamp,
        keep: Option<i64>,
        tokens: bool,
    ) -> Option<bool> {
        self.with_file("set_password", |c| {
            let change = c.unchecked_transaction()?;
            let changed = change.execute(
                "UPDATE account SET password = ?2, changed_ms = ?3 WHERE id = ?1",
                params![id, password, now.millis()],
            )?;
            change.execute("DELETE FROM session WHERE account = ?1 AND id IS NOT ?2", params![id, keep])?;
            change.execute("DELETE FROM device WHERE account = ?1", [id])?;
            if tokens {
                change.execute("DELETE FROM token WHERE account = ?1", [id])?;
            }
            change.commit()?;
            Ok(changed == 1)
        })
    }

    /// Removes an account with all that lets it in. `Some(false)` when there is none, or it is the last that administers.
    pub fn remove_account(&self, id: i64) -> Option<bool> {
        self.with_file("remove_account", |c| {
            if !others_administer(c, id)? {
                return Ok(false);
            }
            c.execute("DELETE FROM account WHERE id = ?1", [id]).map(|rows| rows == 1)
        })
    }

    /// Begins a session.
    pub fn open_session(&self, new: &NewSession<'_>) -> Option<i64> {
        self.with_file("open_session", |c| {
            c.execute(
                "INSERT INTO session (hash, account, created_ms, seen_ms, address, agent) VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
                params![new.hash, new.account, new.now.millis(), new.address, new.agent],
            )?;
            let id = c.last_insert_rowid();
            c.execute(
                "DELETE FROM session WHERE account = ?1 AND id NOT IN
                    (SELECT id FROM session WHERE account = ?1 ORDER BY id DESC LIMIT ?2)",
                params![new.account, MOST_SESSIONS],
            )?;
            Ok(id)
        })
    }

    /// The session of this token, with its account.
    pub fn session_of(&self, hash: &Hash) -> Option<(SessionRow, Account)> {
        let found = self.with("session_of", |c| {
            c.query_row(&format!("SELECT {SESSION} FROM session WHERE hash = ?1"), [hash], session).optional()
        })??;
        let owner = self.with("session_of", |c| {
            c.query_row(&format!("SELECT {ACCOUNT} FROM account WHERE id = ?1"), [found.account], account)
                .optional()
        })??;
        Some((found, owner))
    }

    /// Remembers that a session was used.
    pub fn touch_session(&self, session: &SessionRow, now: Timestamp) {
        // While it cannot be written it is not tried with each request.
        if self.wrong().is_none() && now.apart(session.seen) >= SEEN_EVERY_MS.unsigned_abs() {
            self.with("touch_session", |c| {
                c.execute("UPDATE session SET seen_ms = ?2 WHERE id = ?1", params![session.id, now.millis()])
            });
        }
    }

    /// All sessions, the last used first; of one account only where it is named.
    pub fn sessions(&self, account: Option<i64>) -> Vec<SessionRow> {
        self.with("sessions", |c| {
            let mut rows = c.prepare(&format!(
                "SELECT {SESSION} FROM session WHERE ?1 IS NULL OR account = ?1 ORDER BY seen_ms DESC, id DESC LIMIT 500"
            ))?;
            let rows = rows.query_map([account], session)?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Ends a session; `account` must be its owner's where it is given.
    pub fn end_session(&self, id: i64, account: Option<i64>) -> Option<bool> {
        self.with_file("end_session", |c| {
            c.execute(
                "DELETE FROM session WHERE id = ?1 AND (?2 IS NULL OR account = ?2)",
                params![id, account],
            )
        })
        .map(|rows| rows == 1)
    }

    /// Ends a session as soon as that can be written.
    pub fn end_session_later(&self, id: i64) {
        self.write_or_wait("end_session", "DELETE FROM session WHERE id = ?1", vec![id.into()], None);
    }

    /// Ends all sessions of an account but `keep`: how many.
    pub fn end_sessions(&self, account: i64, keep: Option<i64>) -> Option<usize> {
        self.with_file("end_sessions", |c| {
            c.execute("DELETE FROM session WHERE account = ?1 AND id IS NOT ?2", params![account, keep])
        })
    }

    /// Forgets sessions and tokens that are over.
    pub fn forget_sessions(&self, began_before: Timestamp, seen_before: Timestamp, now: Timestamp) {
        self.with("forget_sessions", |c| {
            c.execute(
                "DELETE FROM session WHERE created_ms < ?1 OR seen_ms < ?2",
                params![began_before.millis(), seen_before.millis()],
            )?;
            c.execute("DELETE FROM token WHERE expires_ms < ?1", [now.millis()])
        });
    }

    /// Ends all sessions and forgets all browsers, of every account.
    pub fn end_everything(&self) {
        self.with("end_everything", |c| c.execute_batch("DELETE FROM session; DELETE FROM device;"));
    }

    /// Remembers a browser from which an account signed in.
    pub fn add_device(&self, hash: &Hash, account: i64, now: Timestamp) {
        self.with_file("add_device", |c| {
            c.execute(
                "INSERT INTO device (hash, account, used_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET used_ms = ?3, account = ?2",
                params![hash, account, now.millis()],
            )?;
            c.execute(
                "DELETE FROM device WHERE account = ?1 AND hash NOT IN
                    (SELECT hash FROM device WHERE account = ?1 ORDER BY used_ms DESC LIMIT ?2)",
                params![account, MOST_DEVICES],
            )
        });
    }

    /// Whether an account signed in from this browser before.
    pub fn knows_device(&self, hash: &Hash, account: i64) -> bool {
        self.with("knows_device", |c| {
            c.query_row(
                "SELECT EXISTS (SELECT 1 FROM device WHERE hash = ?1 AND account = ?2)",
                params![hash, account],
                |r| r.get(0),
            )
        })
        .unwrap_or(false)
    }

    /// Makes a token. `Some(false)` when the account has as many as it may.
    pub fn add_token(
        &self,
        hash: &Hash,
        account: i64,
        name: &str,
        role: Role,
        now: Timestamp,
        expires: Timestamp,
    ) -> Option<bool> {
        self.with_file("add_token", |c| {
            c.execute("DELETE FROM token WHERE expires_ms < ?1", [now.millis()])?;
            c.execute(
                "INSERT INTO token (hash, account, name, role, created_ms, expires_ms) SELECT ?1, ?2, ?3, ?4, ?5, ?6
                    WHERE (SELECT count(*) FROM token WHERE account = ?2) < ?7",
                params![hash, account, name, role.as_str(), now.millis(), expires.millis(), MOST_TOKENS],
            )
            .map(|rows| rows == 1)
        })
    }

    /// The token of this hash, and its owner's role.
    pub fn token_of(&self, hash: &Hash) -> Option<(TokenRow, Role)> {
        self.with("token_of", |c| {
            c.query_row(
                &format!("SELECT {TOKEN}, account.role FROM token JOIN account ON account.id = account WHERE hash = ?1"),
                [hash],
                |row| Ok((token(row)?, role(row, 8)?)),
            )
            .optional()
        })?
    }

    /// Remembers that a token was used.
    pub fn touch_token(&self, token: &TokenRow, now: Timestamp) {
        let late = token.used.is_none_or(|used| now.apart(used) >= SEEN_EVERY_MS.unsigned_abs());
        if late && self.wrong().is_none() {
            self.with("touch_token", |c| {
                c.execute("UPDATE token SET used_ms = ?2 WHERE id = ?1", params![token.id, now.millis()])
            });
        }
    }

    /// All tokens, the newest first; of one account only where it is named.
    pub fn tokens(&self, account: Option<i64>) -> Vec<TokenRow> {
        self.with("tokens", |c| {
            let mut rows = c.prepare(&format!(
                "SELECT {TOKEN} FROM token JOIN account ON account.id = account WHERE ?1 IS NULL OR account = ?1
                    ORDER BY token.id DESC LIMIT 500"
            ))?;
            let rows = rows.query_map([account], token)?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Removes a token: its name, if it was there; `account` must be its owner's where it is given.
    pub fn remove_token(&self, id: i64, account: Option<i64>) -> Option<Option<String>> {
        self.with_file("remove_token", |c| {
            let statement = "DELETE FROM token WHERE id = ?1 AND (?2 IS NULL OR account = ?2) RETURNING name";
            c.query_row(statement, params![id, account], |r| r.get(0)).optional()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_first_account_is_made_once_and_the_last_admin_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(store.add_account("root", Role::Admin, "h", at(1), true), Some(true));
        assert_eq!(store.add_account("second", Role::Admin, "h", at(1), true), Some(false), "not the first");
        assert_eq!(store.add_account("ROOT", Role::Viewer, "h", at(1), false), Some(false), "the same name");
        assert_eq!(store.add_account("eve", Role::Viewer, "h", at(1), false), Some(true));
        let id = |name| store.account_named(name).expect("there").id;
        let (root, eve) = (id("Root"), id("eve"));
        assert_eq!(store.set_role(root, Role::Viewer), Some(false));
        assert_eq!(store.remove_account(root), Some(false));
        assert_eq!(store.set_role(eve, Role::Admin), Some(true));
        assert_eq!(store.remove_account(root), Some(true));
        assert_eq!(store.account_count(), Some(1));
    }

    #[test]
    fn what_lets_an_account_in_goes_with_it_and_with_its_password() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        for name in ["a", "b"] {
            store.add_account(name, Role::Admin, "h", at(1), false);
        }
        let a = store.account_named("a").expect("there").id;
        let b = store.account_named("b").expect("there").id;
        let session = |hash: &Hash, account| {
            let new = NewSession { hash, account, now: at(5), address: "::1", agent: "x" };
            store.open_session(&new).expect("opened")
        };
        let (first, second) = (session(&[1; 32], a), session(&[2; 32], a));
        session(&[3; 32], b);
        store.add_device(&[7; 32], a, at(5));
        assert!(store.knows_device(&[7; 32], a) && !store.knows_device(&[7; 32], b));
        store.set_password(a, "new", at(6), Some(second), false);
        assert!(store.session_of(&[1; 32]).is_none() && store.session_of(&[2; 32]).is_some());
        assert!(!store.knows_device(&[7; 32], a), "an attacker's browser is forgotten, too");
        assert_eq!(store.end_session(second, Some(b)), Some(false), "another's");
        assert_eq!(store.end_session(first, None), Some(false), "gone already");
        store.add_token(&[9; 32], a, "t", Role::Admin, at(5), at(100)).expect("made");
        store.set_role(a, Role::Viewer);
        let (token, owner) = store.token_of(&[9; 32]).expect("there");
        assert_eq!((token.owner.as_str(), token.role, owner), ("a", Role::Admin, Role::Viewer));
        store.remove_account(a);
        assert!(store.session_of(&[2; 32]).is_none() && store.token_of(&[9; 32]).is_none());
        assert!(store.session_of(&[3; 32]).is_some());
        for n in 0..100_u8 {
            session(&[n + 100; 32], b);
        }
        assert_eq!(store.sessions(Some(b)).len(), 50);
    }
}
