//! Who is let in: the first account, signing in, sessions, tokens, and what is remembered of it.
//!
//! In: what a request carries. Out: a [`Caller`], made here and nowhere else, or why not. What a role may is said in
//! [`app::api::Role::may`]; this room says who has which.

mod command;
mod limits;
mod secret;

pub use command::command;

use crate::store::{Account, AuditClass, NewSession, SessionRow, Store, StoreTrouble, TokenRow};
use app::api::{AuditRow, Caller, Refused, Role};
use app::model::Timestamp;
use limits::Limits;
use secret::{hash_of, is_password, password_hash, random, setup_code};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// A session that nobody uses ends after this.
pub const IDLE_MS: i64 = 7 * 24 * 3_600_000;
/// And any session after this.
pub const ABSOLUTE_MS: i64 = 30 * 24 * 3_600_000;
/// The longest life of an API token, in days.
pub const MOST_TOKEN_DAYS: u32 = 366;
/// Letters of a password, and bytes of one.
pub const PASSWORD_LEAST: usize = 10;
const PASSWORD_MOST: usize = 512;
/// Passwords that wait to be looked at; whoever comes then is sent away.
const WAITING: usize = 16;
/// How long a password may wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a wrong set-up code is answered later.
const WRONG_CODE: Duration = Duration::from_millis(200);
/// API tokens begin so: they are found in places where they should not be.
const TOKEN_PREFIX: &str = "services_";
/// Streams of one account at most; and of all where nobody signs in.
const MOST_STREAMS: usize = 64;
const MOST_STREAMS_OPEN: usize = 1000;
/// Bytes of a browser's name that are kept.
const AGENT_MOST: usize = 200;

/// What a request carries to say who it is from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The session's cookie.
    pub session: Option<&'a str>,
    /// `Authorization: Bearer …`.
    pub bearer: Option<&'a str>,
}

/// Who is let in, and as what.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The caller.
    pub caller: Caller,
    /// The account's number; none where nobody signs in.
    pub account: Option<i64>,
    /// The session, where there is one.
    pub session: Option<SessionRow>,
    /// What they were let in by.
    key: Key,
}

/// What lets somebody in.
#[derive(Clone, Copy, Debug)]
enum Key {
    Open,
    Session([u8; 32]),
    Token([u8; 32]),
}

/// Where somebody comes from who wants to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// Their address.
    pub ip: IpAddr,
    /// The browser, in its own words.
    pub agent: &'a str,
    /// The cookie of a browser that signed in before.
    pub device: Option<&'a str>,
}

/// What somebody who is let in gets, once.
#[derive(Debug)]
pub struct Entry {
    /// The session's token.
    pub session: String,
    /// What tells this browser from others from now on.
    pub device: String,
    /// Who it is.
    pub name: String,
    /// As what.
    pub role: Role,
}

/// Who is let in.
pub struct Access {
    store: Arc<Store>,
    /// What tells this dashboard from others on the same host.
    instance: String,
    /// Whoever reaches the loopback address may do everything.
    open: bool,
    code: Mutex<Option<String>>,
    limits: Mutex<Limits>,
    /// Passwords are dear to look at: one at a time of others, one of browsers that are known.
    turns: [Arc<Semaphore>; 2],
    /// Those that wait, of each.
    waiting: [Arc<Semaphore>; 2],
    changed: watch::Sender<u64>,
    /// Streams of all accounts together at most.
    most_streams: usize,
    /// Streams that are open, by name.
    streams: Mutex<HashMap<String, usize>>,
    /// Sessions that were ended and are still in a store that could not be written.
    ended: Mutex<HashSet<i64>>,
}

/// The place of an open stream.
pub struct Stream {
    access: Arc<Access>,
    who: String,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut streams = self.access.streams();
        if let Some(count) = streams.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                streams.remove(&self.who);
            }
        }
    }
}

impl Access {
    /// With `open`, nobody has to sign in. Otherwise, where there is no account yet, a set-up code is made.
    pub fn new(store: Arc<Store>, open: bool) -> Self {
        let instance = store.fact("instance").unwrap_or_else(|| {
            let instance: String = random().unwrap_or_default().chars().take(8).collect();
            store.set_fact("instance", &instance);
            instance
        });
        let access = Self {
            store,
            instance,
            open,
            code: Mutex::new(None),
            limits: Mutex::default(),
            turns: [1; 2].map(|places| Arc::new(Semaphore::new(places))),
            waiting: [WAITING; 2].map(|places| Arc::new(Semaphore::new(places))),
            changed: watch::Sender::new(0),
            most_streams: usize::MAX,
            streams: Mutex::default(),
            ended: Mutex::default(),
        };
        if access.needs_setup() {
            *access.code() = setup_code();
        }
        access.forget(Timestamp::now());
        access
    }

    /// The code that makes the first account, where there is none.
    pub fn setup_code(&self) -> Option<String> {
        self.code().clone()
    }

    /// A word that no other dashboard on this host has: cookies are named after it.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Nobody has to sign in.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// There is no account yet. When the store cannot tell, there is one: nobody is let in by a fault.
    pub fn needs_setup(&self) -> bool {
        !self.open && self.store.account_count() == Some(0)
    }

    /// Tells streams to look again whether they may go on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Who a request is from. The one place where callers are made.
    pub fn who(&self, credentials: Credentials<'_>, now: Timestamp) -> Option<Guest> {
        let key = match credentials {
            _ if self.open => Key::Open,
            Credentials { bearer: Some(bearer), .. } => Key::Token(hash_of(bearer)),
            Credentials { session, .. } => Key::Session(hash_of(session?)),
        };
        self.let_in(key, now)
    }

    /// Whether somebody who was let in still would be: for what goes on for long.
    pub fn stays(&self, guest: &Guest, now: Timestamp) -> bool {
        self.let_in(guest.key, now).is_some()
    }

    fn let_in(&self, key: Key, now: Timestamp) -> Option<Guest> {
        let (caller, account, session) = match key {
            Key::Open => (Caller::new("local", Role::Admin), None, None),
            Key::Token(hash) => {
                let (token, owner) = self.store.token_of(&hash)?;
                if now >= token.expires || token.created > now.plus_millis(AHEAD_MS) {
                    return None;
                }
                self.store.touch_token(&token, now);
                // A token may never do more than its owner now may.
                (Caller::new(format!("{}/{}", token.owner, token.name), token.role.min(owner)), None, None)
            }
            Key::Session(hash) => {
                let (session, account) = self.store.session_of(&hash)?;
                if is_over(&session, now) || self.ended().contains(&session.id) {
                    return None;
                }
                self.store.touch_session(&session, now);
                (Caller::new(account.name, account.role), Some(account.id), Some(session))
            }
        };
        Some(Guest { caller, account, session, key })
    }

    /// The same with at most so many streams of all accounts together.
    pub fn with_streams(self, most: usize) -> Self {
        Self { most_streams: most, ..self }
    }

    /// A place for one more stream; none where somebody has too many, or all together have.
    pub fn stream(self: &Arc<Self>, caller: &Caller) -> Option<Stream> {
        let most = if self.open { MOST_STREAMS_OPEN } else { MOST_STREAMS.min(self.most_streams / 2) };
        // All tokens of an account share its places.
        let who = caller.account();
        // A part is for administrators, whoever else looks.
        let kept = if caller.role == Some(Role::Admin) { 0 } else { self.most_streams / 4 };
        let mut streams = self.streams();
        let all: usize = streams.values().sum();
        if all >= self.most_streams - kept {
            return None;
        }
        let count = streams.entry(who.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Stream { access: self.clone(), who: who.to_owned() })
    }

    /// Makes the first account with the code from the terminal, and signs it in.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn set_up(
        &self,
        code: &str,
        name: &str,
        password: &str,
        from: Visitor<'_>,
        now: Timestamp,
    ) -> Result<Entry, Refused> {
        if !self.needs_setup() {
            return Err(Refused::Done);
        }
        let same = |known: &String| hash_of(&bare(known)) == hash_of(&bare(code));
        let right = self.code().as_ref().is_some_and(same);
        // The right code always counts: whoever else is on this machine could lock its owner out, and 80 bits are not guessed.
        if !right {
            let wait = self.limits().try_address(from.ip, now).map_err(Refused::Wait);
            tokio::time::sleep(WRONG_CODE).await;
            return wait.and(Err(Refused::Code));
        }
        let hash = self.hashed(name, password).await?;
        match self.store.add_account(name, Role::Admin, &hash, now, true) {
            Some(true) => {}
            Some(false) => return Err(Refused::Done),
            None => return Err(Refused::Store),
        }
        *self.code() = None;
        let account = self.store.account_named(name).ok_or(Refused::Store)?;
        self.enter(&account, from, now)
    }

    /// Makes the first account without a code: for those who may read the environment.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn set_up_unattended(&self, name: &str, password: &str) -> Result<bool, Refused> {
        if !self.needs_setup() {
            return Ok(false);
        }
        let hash = self.hashed(name, password).await?;
        let made = self.store.add_account(name, Role::Admin, &hash, Timestamp::now(), true);
        *self.code() = None;
        made.ok_or(Refused::Store)
    }

    /// Signs somebody in: a new session, whatever the browser had before.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        from: Visitor<'_>,
        now: Timestamp,
    ) -> Result<Entry, Refused> {
        let account = self.store.account_named(name);
        if account.is_none() && self.store.wrong().is_some_and(StoreTrouble::hides) {
            // Not a wrong password: nobody can be known now.
            return Err(Refused::Store);
        }
        let device = from.device.map(hash_of);
        let known = account.as_ref().zip(device).filter(|(a, device)| self.store.knows_device(device, a.id));
        let known = known.map(|(_, device)| device);
        self.limits().try_sign_in(from.ip, known, name, now).map_err(Refused::Wait)?;
        // Counted before it is looked at: who hangs up meanwhile has tried, too.
        let counted = self.limits().failed(name, now);
        let stored = account.as_ref().map(|a| a.password.clone());
        let Some(right) = self.is_right(stored, password, known.is_some()).await? else {
            // Nobody knows whether it was right: it does not count as wrong.
            self.limits().forgive(from.ip, known);
            if counted {
                self.limits().succeeded(name);
            }
            return Err(Refused::Busy);
        };
        match account.filter(|_| right) {
            Some(account) => {
                self.limits().forgive(from.ip, known);
                self.limits().succeeded(name);
                self.enter(&account, from, now)
            }
            None => Err(Refused::Wrong),
        }
    }

    /// Looks at a password, when it is its turn. Strangers may fill their own queue, not that of those who were here before.
    /// An unknown name takes as long as a known one, and whoever hangs up still has their turn.
    /// `None` where the system had no memory to look at it.
    async fn is_right(
        &self,
        stored: Option<String>,
        given: &str,
        known: bool,
    ) -> Result<Option<bool>, Refused> {
        let [waiting, turns] = [&self.waiting, &self.turns].map(|of| of[usize::from(known)].clone());
        let place = waiting.try_acquire_owned().map_err(|_| Refused::Busy)?;
        let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned());
        let turn = turn.await.map_err(|_| Refused::Busy)?.map_err(|_| Refused::Busy)?;
        let given = given.to_owned();
        let looked = tokio::task::spawn_blocking(move || {
            let right = is_password(stored.as_deref(), &given);
            drop((turn, place));
            right
        });
        Ok(looked.await.ok().flatten())
    }

    fn enter(&self, account: &Account, from: Visitor<'_>, now: Timestamp) -> Result<Entry, Refused> {
        let session = random().ok_or(Refused::Store)?;
        let agent = from.agent.get(..from.agent.floor_char_boundary(AGENT_MOST)).unwrap_or_default();
        let address = from.ip.to_string();
        let hash = hash_of(&session);
        let new = NewSession { hash: &hash, account: account.id, now, address: &address, agent };
        self.store.open_session(&new).ok_or(Refused::Store)?;
        let device = match from.device.filter(|device| self.store.knows_device(&hash_of(device), account.id))
        {
            Some(device) => device.to_owned(),
            None => random().ok_or(Refused::Store)?,
        };
        self.store.add_device(&hash_of(&device), account.id, now);
        Ok(Entry { session, device, name: account.name.clone(), role: account.role })
    }

    /// Ends the session of a cookie, if there is one.
    pub fn sign_out(&self, session: &str) -> bool {
        let known = self.store.session_of(&hash_of(session));
        known.is_some_and(|(session, _)| self.end_session(session.id, None))
    }

    /// Ends a session; `account` must be its owner's where it is given.
    pub fn end_session(&self, id: i64, account: Option<i64>) -> bool {
        let ended = self.store.end_session(id, account).unwrap_or_else(|| {
            let theirs =
                account.is_none() || self.store.sessions(account).iter().any(|session| session.id == id);
            if theirs {
                // It is over now, and gone from the store as soon as that can be written.
                self.ended().insert(id);
                self.store.end_session_later(id);
            }
            theirs
        });
        self.tell();
        ended
    }

    /// Ends all sessions of an account but one: how many.
    ///
    /// # Errors
    /// [`Refused::Store`]: none is ended.
    pub fn end_sessions(&self, account: i64, keep: Option<i64>) -> Result<usize, Refused> {
        let ended = self.store.end_sessions(account, keep);
        self.tell();
        ended.ok_or(Refused::Store)
    }

    /// Sessions, of one account or all.
    pub fn sessions(&self, account: Option<i64>, now: Timestamp) -> Vec<SessionRow> {
        let mut sessions = self.store.sessions(account);
        let ended = self.ended();
        sessions.retain(|session| !is_over(session, now) && !ended.contains(&session.id));
        sessions
    }

    /// All accounts.
    pub fn accounts(&self) -> Vec<Account> {
        self.store.accounts()
    }

    /// The account of this name, in any case.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn account(&self, name: &str) -> Result<Account, Refused> {
        self.store.account_named(name).ok_or(Refused::Unknown)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn add_account(&self, name: &str, role: Role, password: &str) -> Result<(), Refused> {
        let hash = self.hashed(name, password).await?;
        match self.store.add_account(name, role, &hash, Timestamp::now(), false) {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::Taken),
            None => Err(Refused::Store),
        }
    }

    /// Gives an account another role; it holds at once, also for its sessions, tokens and streams.
    ///
    /// # Errors
    /// [`Refused::Last`], [`Refused::Unknown`], [`Refused::Store`].
    pub fn set_role(&self, name: &str, role: Role) -> Result<(), Refused> {
        let account = self.account(name)?;
        let done = self.store.set_role(account.id, role);
        self.tell();
        done.ok_or(Refused::Store)?.then_some(()).ok_or(Refused::Last)
    }

    /// Removes an account with its sessions and tokens.
    ///
    /// # Errors
    /// [`Refused::Last`], [`Refused::Unknown`], [`Refused::Store`].
    pub fn remove_account(&self, name: &str) -> Result<(), Refused> {
        let account = self.account(name)?;
        let done = self.store.remove_account(account.id);
        self.tell();
        done.ok_or(Refused::Store)?.then_some(()).ok_or(Refused::Last)
    }

    /// Sets a password; sessions but `keep` end.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
        keep: Option<i64>,
        tokens: bool,
    ) -> Result<(), Refused> {
        let account = self.account(name)?;
        let hash = self.hashed(&account.name, password).await?;
        let done = self.store.set_password(account.id, &hash, Timestamp::now(), keep, tokens);
        self.tell();
        done.ok_or(Refused::Store)?.then_some(()).ok_or(Refused::Unknown)
    }

    /// Sets one's own password, which takes the old one.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn change_password(
        &self,
        name: &str,
        old: &str,
        new: &str,
        keep: Option<i64>,
        tokens: bool,
    ) -> Result<(), Refused> {
        // Nobody outside can use up these tries.
        self.limits()
            .try_own(hash_of(&format!("own password of {name}")), Timestamp::now())
            .map_err(Refused::Wait)?;
        let account = self.account(name)?;
        match self.is_right(Some(account.password), old, true).await? {
            Some(true) => {}
            Some(false) => return Err(Refused::Wrong),
            None => return Err(Refused::Busy),
        }
        self.set_password(name, new, keep, tokens).await
    }

    /// Makes an API token for an account; it is told once.
    ///
    /// # Errors
    /// [`Refused::Token`], [`Refused::Store`].
    pub fn add_token(
        &self,
        account: i64,
        owner: Role,
        name: &str,
        role: Role,
        days: u32,
        now: Timestamp,
    ) -> Result<String, Refused> {
        let letters = name.chars().count();
        let plain = !name.chars().any(char::is_control);
        if !(1..=64).contains(&letters) || !plain || !(1..=MOST_TOKEN_DAYS).contains(&days) {
            return Err(Refused::Token);
        }
        if role > owner {
            return Err(Refused::Role);
        }
        let token = format!("{TOKEN_PREFIX}{}", random().ok_or(Refused::Store)?);
        let expires = now.plus_millis(i64::from(days) * 24 * 3_600_000);
        match self.store.add_token(&hash_of(&token), account, name, role, now, expires) {
            Some(true) => Ok(token),
            Some(false) => Err(Refused::Many),
            None => Err(Refused::Store),
        }
    }

    /// Tokens, of one account or all.
    pub fn tokens(&self, account: Option<i64>, now: Timestamp) -> Vec<TokenRow> {
        let mut tokens = self.store.tokens(account);
        tokens.retain(|token| token.expires > now);
        tokens
    }

    /// Removes a token: its name; `account` must be its owner's where it is given.
    ///
    /// # Errors
    /// [`Refused::Unknown`], [`Refused::Store`].
    pub fn remove_token(&self, id: i64, account: Option<i64>) -> Result<String, Refused> {
        let removed = self.store.remove_token(id, account);
        self.tell();
        removed.ok_or(Refused::Store)?.ok_or(Refused::Unknown)
    }

    /// Whether somebody may change something now: those who do not administer have a rate, so that all that is done is in
    /// the audit and stays there for long.
    ///
    /// # Errors
    /// After how many seconds.
    pub fn may_change(&self, caller: &Caller, now: Timestamp) -> Result<(), u64> {
        match caller.role {
            None | Some(Role::Admin) => Ok(()),
            Some(_) => self.limits().try_change(caller.account(), now),
        }
    }

    /// Writes something into the audit. What is refused has a bound, of strangers together and of each account: the rest is
    /// counted.
    pub fn note(&self, mut entry: AuditRow) {
        if AuditClass::of(&entry) == AuditClass::Refused {
            let account = entry.who.split('/').next().unwrap_or_default();
            let who = if entry.role.is_empty() { "" } else { account };
            match self.limits().try_note(who, entry.at) {
                None => return,
                Some(0) => {}
                Some(more) => {
                    entry.detail = format!("{} (and {more} refusals before it, not listed)", entry.detail);
                }
            }
        }
        self.store.note(&entry);
    }

    /// The store, for reading the audit.
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Forgets what is over.
    pub fn forget(&self, now: Timestamp) {
        self.store.forget_sessions(now.plus_millis(-ABSOLUTE_MS), now.plus_millis(-IDLE_MS), now);
    }

    async fn hashed(&self, name: &str, password: &str) -> Result<String, Refused> {
        if !is_name(name) {
            return Err(Refused::Name);
        }
        if !is_good(name, password) {
            return Err(Refused::Password);
        }
        let password = password.to_owned();
        let hash = tokio::task::spawn_blocking(move || password_hash(&password)).await;
        hash.ok().flatten().ok_or(Refused::Store)
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn code(&self) -> MutexGuard<'_, Option<String>> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was made so long after now was made by a clock that was wrong: it would live as long as that clock was ahead.
const AHEAD_MS: i64 = 24 * 3_600_000;

fn is_over(session: &SessionRow, now: Timestamp) -> bool {
    session.created > now.plus_millis(AHEAD_MS)
        || now >= session.created.plus_millis(ABSOLUTE_MS)
        || now >= session.seen.plus_millis(IDLE_MS)
}

/// Whether an account can have this name.
fn is_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric();
    (1..=32).contains(&name.len())
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|b| letter(b) || b"._-".contains(&b))
        // Words of the audit that are no accounts.
        && !matches!(name, "nobody" | "local")
}

/// Whether it can be this account's password.
fn is_good(name: &str, password: &str) -> bool {
    password.chars().count() >= PASSWORD_LEAST
        && password.len() <= PASSWORD_MOST
        && !password.eq_ignore_ascii_case(name)
}

/// A set-up code as it counts: without spaces and dashes, in any case.
fn bare(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests;
