//! `server user …` and `server token …`: accounts from the command line, for whoever may write the state folder. It works
//! beside a dashboard that runs, which takes up at once what was changed.

use super::{Access, MOST_TOKEN_DAYS};
use crate::settings::{Flags, Sources};
use crate::store::Store;
use app::api::{AuditRow, Role};
use app::model::Timestamp;
use clap::{Parser, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

/// Accounts and API tokens.
#[derive(Debug, Parser)]
#[command(name = "server", disable_help_subcommand = true)]
struct Arguments {
    /// Folder for what must be remembered [SERVICES_STATE_DIR]
    #[arg(long, value_name = "FOLDER", global = true)]
    state_dir: Option<String>,
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    /// Accounts. Passwords are asked for, or read as the first line of the input
    #[command(subcommand)]
    User(User),
    /// API tokens
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Subcommand)]
enum User {
    /// List the accounts
    List,
    /// Make an account
    Add {
        /// Its name
        name: String,
        /// viewer, operator or admin
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// Set a password; all sessions of the account end
    Password {
        /// The account
        name: String,
    },
    /// Give an account another role
    Role {
        /// The account
        name: String,
        /// viewer, operator or admin
        #[arg(value_parser = role)]
        role: Role,
    },
    /// Remove an account with its sessions and tokens
    Remove {
        /// The account
        name: String,
    },
    /// End all sessions of an account
    SignOut {
        /// The account
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Token {
    /// List the tokens
    List,
    /// Make a token and print it, this once
    Add {
        /// The account that it belongs to
        user: String,
        /// What it is for
        name: String,
        /// viewer, operator or admin; not more than the account
        #[arg(long, value_parser = role, default_value = "viewer")]
        role: Role,
        /// How many days it lives
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_TOKEN_DAYS)))]
        days: u32,
    },
    /// Remove a token
    Remove {
        /// Its number in the list
        id: i64,
    },
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|()| "allowed are viewer, operator and admin".to_owned())
}

/// Runs the command. `words` begin with `user` or `token`.
pub fn command(words: &[String]) -> ExitCode {
    let arguments = Arguments::parse_from(std::iter::once("server".to_owned()).chain(words.iter().cloned()));
    crate::terminal::end(run(arguments))
}

fn run(arguments: Arguments) -> Result<String, String> {
    let flags = Flags { state_dir: arguments.state_dir, ..Flags::default() };
    let config = Sources::from_process(flags).load().map_err(|error| error.0.join("\n"))?;
    let store = Store::open_beside(&config.dashboard.state_dir.value).map_err(|e| e.to_string())?;
    let access = Access::new(Arc::new(store), false);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(done(&access, arguments.of))
}

async fn done(access: &Access, of: Of) -> Result<String, String> {
    let (action, target, detail, result) = match of {
        Of::User(User::List) => return Ok(list(access)),
        Of::Token(Token::List) => return Ok(tokens(access)),
        Of::User(User::Add { name, role }) => {
            let password = new_password().map_err(|e| e.to_string())?;
            let result = access.add_account(&name, role, &password).await;
            ("account-add", name, role.to_string(), result.map(|()| String::new()))
        }
        Of::User(User::Password { name }) => {
            let password = new_password().map_err(|e| e.to_string())?;
            let result = access.set_password(&name, &password, None, false).await;
            ("account-password", name, String::new(), result.map(|()| String::new()))
        }
        Of::User(User::Role { name, role }) => {
            let result = access.set_role(&name, role);
            ("account-role", name, role.to_string(), result.map(|()| String::new()))
        }
        Of::User(User::Remove { name }) => {
            let result = access.remove_account(&name);
            ("account-remove", name, String::new(), result.map(|()| String::new()))
        }
        Of::User(User::SignOut { name }) => {
            let result = access.account(&name).and_then(|account| access.end_sessions(account.id, None));
            ("sessions-end", name, String::new(), result.map(|count| format!("{count} sessions ended\n")))
        }
        Of::Token(Token::Add { user, name, role, days }) => {
            let result = access.account(&user).and_then(|account| {
                access.add_token(account.id, account.role, &name, role, days, Timestamp::now())
            });
            let detail = format!("{role}, {days} days");
            ("token-add", format!("{user}/{name}"), detail, result.map(|token| format!("{token}\n")))
        }
        Of::Token(Token::Remove { id }) => {
            let result = access.remove_token(id, None).map(|_| String::new());
            ("token-remove", id.to_string(), String::new(), result)
        }
    };
    access.note(AuditRow {
        at: Timestamp::now(),
        who: "command line".to_owned(),
        role: Role::Admin.to_string(),
        action: action.to_owned(),
        target: target.clone(),
        result: result.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned()),
        detail,
        ..AuditRow::default()
    });
    result.map_err(|refused| format!("{target}: {refused}"))
}

fn list(access: &Access) -> String {
    let now = Timestamp::now();
    let mut text = String::new();
    for account in access.accounts() {
        let sessions = access.sessions(Some(account.id), now).len();
        text.push_str(&format!("{:<32}  {:<8}  {sessions} sessions\n", account.name, account.role.as_str()));
    }
    if text.is_empty() { "no accounts\n".to_owned() } else { text }
}

fn tokens(access: &Access) -> String {
    let mut text = String::new();
    for token in access.tokens(None, Timestamp::now()) {
        text.push_str(&format!(
            "{:>4}  {}/{}  {}  until {}\n",
            token.id,
            token.owner,
            token.name,
            token.role.as_str(),
            token.expires
        ));
    }
    if text.is_empty() { "no tokens\n".to_owned() } else { text }
}

/// A new password: asked for twice where a person types it, otherwise the first line of the input.
fn new_password() -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return first_line();
    }
    let password = asked("New password: ")?;
    if asked("The same again: ")? == password {
        Ok(password)
    } else {
        Err(io::Error::other("the two passwords differ"))
    }
}

fn asked(question: &str) -> io::Result<String> {
    eprint!("{question}");
    let terminal = io::stdin();
    let before = tcgetattr(&terminal)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
    let line = first_line();
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    eprintln!();
    line
}

fn first_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
