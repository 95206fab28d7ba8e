//! The pages about accounts: sign-in, set-up, one's own account, all accounts, the audit. Plain forms, no script.

use super::moment;
use crate::Theme;
use crate::api::{AuditRow, Refused, Role};
use crate::at;
use crate::locales::{AccessWords, Lang};
use crate::model::Timestamp;
use leptos::prelude::*;

/// What became of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was not done.
    Refused(Refused),
    /// The password is another one.
    PasswordChanged,
    /// And the tokens are removed.
    TokensToo,
    /// So many sessions were ended.
    Ended(usize),
    /// Something was removed.
    Removed,
    /// Something was changed.
    Saved,
}

/// What each of these pages has around it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The language.
    pub lang: Lang,
    /// The theme.
    pub theme: Theme,
    /// Who is signed in, and as what.
    pub me: Option<(String, Role)>,
    /// What became of the form that was sent.
    pub said: Option<Said>,
}

/// Sign-in.
#[derive(Clone, Debug, Default)]
pub struct SignInView {
    /// The name that was typed.
    pub name: String,
    /// Where to go then.
    pub back: String,
}

/// A session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its number.
    pub id: i64,
    /// It is the one that looks.
    pub mine: bool,
    /// When it began.
    pub created: Timestamp,
    /// When it was used last.
    pub seen: Timestamp,
    /// From where.
    pub address: String,
    /// With what.
    pub agent: String,
}

/// A token.
#[derive(Clone, Debug)]
pub struct TokenView {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
    /// When it was used last.
    pub used: Option<Timestamp>,
}

/// One's own account.
#[derive(Clone, Debug, Default)]
pub struct AccountView {
    /// Its sessions.
    pub sessions: Vec<SessionView>,
    /// Its tokens.
    pub tokens: Vec<TokenView>,
    /// A token that was just made.
    pub made: Option<String>,
    /// Nobody signs in here: there are no accounts.
    pub open: bool,
}

/// An account in the list of all.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// Its name.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// How many sessions it has.
    pub sessions: usize,
    /// It is the one that looks.
    pub mine: bool,
}

/// All accounts.
#[derive(Clone, Debug, Default)]
pub struct AccountsView {
    /// The accounts.
    pub accounts: Vec<AccountRow>,
    /// The tokens of all of them.
    pub tokens: Vec<TokenView>,
    /// Of which it is asked whether to remove it.
    pub asking: Option<String>,
}

/// The audit.
#[derive(Clone, Debug, Default)]
pub struct AuditView {
    /// The rows.
    pub rows: Vec<AuditRow>,
    /// What is chosen.
    pub who: String,
    /// What is chosen.
    pub action: String,
    /// What is looked for.
    pub text: String,
    /// Only what was refused.
    pub refused: bool,
    /// Names to choose from.
    pub names: Vec<String>,
    /// Actions to choose from.
    pub actions: Vec<String>,
    /// The address of older rows.
    pub older: Option<String>,
    /// The address of the download.
    pub export: String,
}

/// Sign-in.
pub fn sign_in(view: &SignInView, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    let focus_name = view.name.is_empty();
    let form = view! {
        <form class="access-form" method="post" action=at("/login")>
            <input type="hidden" name="back" value=view.back.clone()/>
            <label>
                <span>{words.name}</span>
                <input name="name" value=view.name.clone() required maxlength="32" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus=focus_name/>
            </label>
            <label>
                <span>{words.password}</span>
                <input type="password" name="password" required maxlength="512" autocomplete="current-password" autofocus=!focus_name/>
            </label>
            <button type="submit" class="primary">{words.sign_in}</button>
            <p class="hint">{words.forgot}</p>
        </form>
    };
    page(frame, words.sign_in, form.into_any())
}

/// The first account.
pub fn set_up(name: &str, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    let name = name.to_owned();
    let form = view! {
        <p>{words.set_up_text}</p>
        <form class="access-form" method="post" action=at("/setup")>
            <label>
                <span>{words.code}</span>
                <input name="code" required maxlength="40" autocomplete="one-time-code" spellcheck="false" placeholder="XXXX-XXXX-XXXX-XXXX" autofocus/>
            </label>
            <label>
                <span>{words.name}</span>
                <input name="name" value=name required maxlength="32" autocomplete="username" autocapitalize="none" spellcheck="false"/>
            </label>
            <label>
                <span>{words.password}</span>
                <input type="password" name="password" required minlength="10" maxlength="512" autocomplete="new-password"/>
                <small>{words.password_rule}</small>
            </label>
            <button type="submit" class="primary">{words.create}</button>
        </form>
    };
    page(frame, words.set_up, form.into_any())
}

/// A page that only asks for another one, so that it is a page of ours that asks.
pub fn again(path: &str) -> String {
    let to = path.to_owned();
    let whole = view! {
        <head>
            <meta charset="utf-8"/>
            <meta http-equiv="refresh" content=format!("0; url={path}")/>
            <title>"Services"</title>
        </head>
        <body>
            <p><a href=to>"Services"</a></p>
        </body>
    };
    format!("<!DOCTYPE html><html lang=\"en\">{}</html>", super::written(whole.into_any()))
}

/// What a role may not see.
pub fn forbidden(needs: Role, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    let text = (words.forbidden)(needs);
    page(frame, words.account, view! { <p class="news bad" role="alert">{text}</p> }.into_any())
}

/// One's own account.
pub fn account(view: &AccountView, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    if view.open {
        return page(frame, words.account, view! { <p>{words.open_house}</p> }.into_any());
    }
    let me = frame.me.as_ref().map(|(name, role)| {
        let text = format!("{name}: {}", (words.role_of)(*role));
        view! { <p>{text} <span class="hint">{(words.may)(*role)}</span></p> }
    });
    let may_other = view.sessions.len() > 1;
    let sessions: Vec<_> = view.sessions.iter().map(|it| session(it, words)).collect();
    let tokens = tokens(&view.tokens, None, words);
    let made = view.made.as_ref().map(|made| {
        view! {
            <div class="news good" role="status">
                <p>{words.token_once}</p>
                <input class="token" id="new-token" readonly value=made.clone() aria-label=words.token_once size="73"/>
            </div>
        }
    });
    let most = frame.me.as_ref().map_or(Role::Viewer, |(_, role)| *role);
    let body = view! {
        {me}
        <section>
            <h3>{words.change_password}</h3>
            <form class="access-form" method="post" action=at("/account/password")>
                <label>
                    <span>{words.old_password}</span>
                    <input type="password" name="old" required maxlength="512" autocomplete="current-password"/>
                </label>
                <label>
                    <span>{words.new_password}</span>
                    <input type="password" name="new" required minlength="10" maxlength="512" autocomplete="new-password"/>
                    <small>{words.password_rule} ". " {words.others_end}</small>
                </label>
                <label class="check">
                    <input type="checkbox" name="tokens" value="1"/>
                    {words.tokens_too}
                </label>
                <button type="submit">{words.change}</button>
            </form>
        </section>
        <section>
            <h3>{words.sessions}</h3>
            <table class="access-table">
                <thead>
                    <tr>
                        <th scope="col">{words.since}</th>
                        <th scope="col">{words.seen}</th>
                        <th scope="col">{words.address}</th>
                        <th scope="col">{words.browser}</th>
                        <th></th>
                    </tr>
                </thead>
                <tbody>{sessions}</tbody>
            </table>
            {may_other.then(|| view! {
                <form method="post" action=at("/account/sessions")>
                    <button type="submit" name="end" value="others">{words.end_others}</button>
                </form>
            })}
        </section>
        <section>
            <h3>{words.tokens}</h3>
            <p class="hint">{words.tokens_text}</p>
            {made}
            {tokens}
            <form class="access-form line" method="post" action=at("/account/tokens")>
                <label>
                    <span>{words.name}</span>
                    <input name="name" required maxlength="64" autocomplete="off"/>
                </label>
                <label><span>{words.role}</span>{roles(Role::Viewer, most, words)}</label>
                <label>
                    <span>{words.days}</span>
                    <input type="number" name="days" min="1" max="366" value="90" required/>
                </label>
                <button type="submit">{words.add_token}</button>
            </form>
        </section>
    };
    page(frame, words.account, body.into_any())
}

fn session(it: &SessionView, words: &'static AccessWords) -> AnyView {
    let end = if it.mine {
        view! { <span class="hint">{words.this_one}</span> }.into_any()
    } else {
        view! {
            <form method="post" action=at("/account/sessions")>
                <button type="submit" name="end" value=it.id>{words.end}</button>
            </form>
        }
        .into_any()
    };
    view! {
        <tr>
            <td data-label=words.since>{moment(it.created)}</td>
            <td data-label=words.seen>{moment(it.seen)}</td>
            <td data-label=words.address>{it.address.clone()}</td>
            <td class="long" data-label=words.browser>{it.agent.clone()}</td>
            <td>{end}</td>
        </tr>
    }
    .into_any()
}

/// A table of tokens, each with a button that removes it: one's own, or those of everybody with their owners.
fn tokens(list: &[TokenView], owner: Option<&'static str>, words: &'static AccessWords) -> AnyView {
    if list.is_empty() {
        return view! { <p class="hint">{words.no_tokens}</p> }.into_any();
    }
    let rows: Vec<_> = list.iter().map(|it| token(it, owner, words)).collect();
    view! {
        <table class="access-table">
            <thead>
                <tr>
                    <th scope="col">{words.name}</th>
                    {owner.map(|label| view! { <th scope="col">{label}</th> })}
                    <th scope="col">{words.role}</th>
                    <th scope="col">{words.until}</th>
                    <th scope="col">{words.used}</th>
                    <th></th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn token(it: &TokenView, owner: Option<&'static str>, words: &'static AccessWords) -> AnyView {
    let used = it.used.map_or_else(|| words.never.to_owned(), moment);
    let remove = format!("{}: {}", it.name, words.remove);
    let form = if owner.is_some() {
        view! {
            <form method="post" action=at("/accounts")>
                <input type="hidden" name="account" value=it.owner.clone()/>
                <input type="hidden" name="token" value=it.id/>
                <button type="submit" name="do" value="token-remove" aria-label=remove>{words.remove}</button>
            </form>
        }
        .into_any()
    } else {
        view! {
            <form method="post" action=at("/account/tokens")>
                <button type="submit" name="remove" value=it.id aria-label=remove>{words.remove}</button>
            </form>
        }
        .into_any()
    };
    view! {
        <tr>
            <td class="long">{it.name.clone()}</td>
            {owner.map(|label| view! { <td class="long" data-label=label>{it.owner.clone()}</td> })}
            <td data-label=words.role>{(words.role_of)(it.role)}</td>
            <td data-label=words.until>{moment(it.expires)}</td>
            <td data-label=words.used>{used}</td>
            <td>{form}</td>
        </tr>
    }
    .into_any()
}

/// A choice of roles up to one.
fn roles(chosen: Role, most: Role, words: &'static AccessWords) -> AnyView {
    let options: Vec<_> = Role::ALL
        .into_iter()
        .filter(|role| *role <= most)
        .map(|role| {
            view! { <option value=role.as_str() selected=role == chosen>{(words.role_of)(role)}</option> }
        })
        .collect();
    view! { <select name="role" aria-label=words.role>{options}</select> }.into_any()
}

/// All accounts.
pub fn accounts(view: &AccountsView, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    let rows: Vec<_> = view.accounts.iter().map(|it| row(it, words)).collect();
    let asking = view.asking.as_ref().map(|name| {
        let question = (words.really_remove)(name);
        let label = question.clone();
        view! {
            <form class="news bad" method="post" action=at("/accounts") role="alertdialog" aria-label=label>
                <input type="hidden" name="account" value=name.clone()/>
                <p>{question}</p>
                <button type="submit" class="danger" name="do" value="remove-really">{words.remove}</button>
            </form>
        }
    });
    let about: Vec<_> = Role::ALL
        .into_iter()
        .map(|role| view! { <li><b>{(words.role_of)(role)}</b> " — " {(words.may)(role)}</li> })
        .collect();
    let body = view! {
        {asking}
        <table class="access-table">
            <thead>
                <tr>
                    <th scope="col">{words.name}</th>
                    <th scope="col">{words.role}</th>
                    <th scope="col">{words.sessions}</th>
                    <th scope="col">{words.new_password}</th>
                    <th></th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
        <ul class="hint">{about}</ul>
        <section>
            <h3>{words.add_account}</h3>
            <form class="access-form line" method="post" action=at("/accounts")>
                <label>
                    <span>{words.name}</span>
                    <input name="account" required maxlength="32" autocomplete="off" autocapitalize="none" spellcheck="false"/>
                </label>
                <label><span>{words.role}</span>{roles(Role::Viewer, Role::Admin, words)}</label>
                <label>
                    <span>{words.password}</span>
                    <input type="password" name="password" required minlength="10" maxlength="512" autocomplete="new-password"/>
                    <small>{words.password_rule}</small>
                </label>
                <button type="submit" name="do" value="add">{words.add}</button>
            </form>
        </section>
        <section>
            <h3>{words.all_tokens}</h3>
            {tokens(&view.tokens, Some(words.account), words)}
        </section>
    };
    page(frame, words.accounts, body.into_any())
}

fn row(it: &AccountRow, words: &'static AccessWords) -> AnyView {
    let name = || view! { <input type="hidden" name="account" value=it.name.clone()/> };
    let of = |what: &str| format!("{}: {what}", it.name);
    let sign_out = (it.sessions > 0 && !it.mine).then(|| {
        view! {
            <form method="post" action=at("/accounts")>
                {name()}
                <button type="submit" name="do" value="sign-out" aria-label=of(words.end)>{words.end}</button>
            </form>
        }
    });
    let remove = (!it.mine).then(|| {
        view! {
            <form method="post" action=at("/accounts")>
                {name()}
                <button type="submit" name="do" value="remove" aria-label=of(words.remove)>{words.remove}</button>
            </form>
        }
    });
    view! {
        <tr>
            <th scope="row" class="long">{it.name.clone()}</th>
            <td>
                <form method="post" action=at("/accounts")>
                    {name()} {roles(it.role, Role::Admin, words)}
                    <button type="submit" name="do" value="role" aria-label=of(words.save)>{words.save}</button>
                </form>
            </td>
            <td data-label=words.sessions>{it.sessions} " " {sign_out}</td>
            <td data-label=words.new_password>
                <form method="post" action=at("/accounts")>
                    {name()}
                    <input type="password" name="password" required minlength="10" maxlength="512" autocomplete="new-password" aria-label=of(words.new_password)/>
                    <label class="check">
                        <input type="checkbox" name="tokens" value="1" aria-label=of(words.their_tokens)/>
                        {words.their_tokens}
                    </label>
                    <button type="submit" name="do" value="password" aria-label=of(words.set_password)>{words.save}</button>
                </form>
            </td>
            <td>{remove}</td>
        </tr>
    }
    .into_any()
}

/// The audit.
pub fn audit(view: &AuditView, frame: &Frame) -> String {
    let words = frame.lang.access_words();
    let choice = |name: &'static str, label: &'static str, all: &'static str, chosen: &str, of: &[String]| {
        let options: Vec<_> = std::iter::once((String::new(), all.to_owned()))
            .chain(of.iter().map(|it| (it.clone(), it.clone())))
            .map(|(value, text)| {
                let selected = value == chosen;
                view! { <option value=value selected=selected>{text}</option> }
            })
            .collect();
        view! { <label><span>{label}</span><select name=name>{options}</select></label> }.into_any()
    };
    let rows: Vec<_> = view
        .rows
        .iter()
        .map(|it| {
            let class = if it.result == "done" { "" } else { "refused" };
            let role = (!it.role.is_empty()).then(|| view! { <small>{it.role.clone()}</small> });
            view! {
                <tr class=class>
                    <td class="time">{second(it.at)}</td>
                    <td>{it.who.clone()} " " {role}</td>
                    <td>{it.address.clone()}</td>
                    <td>{it.action.clone()}</td>
                    <td class="long">{it.target.clone()}</td>
                    <td>{it.result.clone()}</td>
                    <td class="long">{it.detail.clone()}</td>
                </tr>
            }
        })
        .collect();
    let none = rows.is_empty().then(|| view! { <p class="hint">{words.no_rows}</p> });
    let older = view.older.as_ref().map(|to| view! { <a class="button" href=to.clone()>{words.older}</a> });
    let body = view! {
        <form class="access-form line" method="get" action=at("/audit")>
            {choice("who", words.who, words.anybody, &view.who, &view.names)}
            {choice("action", words.action, words.anything, &view.action, &view.actions)}
            <label>
                <span>{words.text}</span>
                <input name="text" value=view.text.clone() maxlength="200"/>
            </label>
            <label class="check">
                <input type="checkbox" name="refused" value="1" checked=view.refused/>
                {words.only_refused}
            </label>
            <button type="submit" class="primary">{words.show}</button>
            <a class="button" href=view.export.clone()>{words.export}</a>
        </form>
        <div class="access-scroll" tabindex="0" role="region" aria-label=words.audit>
            <table class="access-table">
                <thead>
                    <tr>
                        <th scope="col">{words.time}</th>
                        <th scope="col">{words.who}</th>
                        <th scope="col">{words.address}</th>
                        <th scope="col">{words.action}</th>
                        <th scope="col">{words.target}</th>
                        <th scope="col">{words.result}</th>
                        <th scope="col">{words.detail}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {none}
        {older}
    };
    page(frame, words.audit, body.into_any())
}

/// A moment to the second.
fn second(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default())
}

fn page(frame: &Frame, title: &str, body: AnyView) -> String {
    let words = frame.lang.access_words();
    let title = title.to_owned();
    let admin = frame.me.as_ref().is_some_and(|(_, role)| *role == Role::Admin);
    let links = frame.me.as_ref().map(|(name, _)| {
        let more = admin.then(|| {
            view! {
                <a href=at("/accounts")>{words.accounts}</a>
                <a href=at("/audit")>{words.audit}</a>
            }
        });
        view! {
            <nav class="access-links" aria-label=words.account>
                <a href=at("/")>{words.back}</a>
                <a href=at("/account")>{words.account}</a>
                {more}
                <form method="post" action=at("/logout")>
                    <span class="hint">{name.clone()}</span>
                    <button type="submit">{words.sign_out}</button>
                </form>
            </nav>
        }
    });
    let said = frame.said.as_ref().map(|said| {
        let (class, role) = match said {
            Said::Refused(_) => ("news bad", "alert"),
            _ => ("news good", "status"),
        };
        view! { <p class=class role=role>{(words.said)(said)}</p> }
    });
    let whole = view! {
        <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <title>{title.clone()} " · " {frame.lang.words().services}</title>
            <link rel="icon" href=at("/favicon.svg") type="image/svg+xml"/>
            <link rel="stylesheet" href=at("/pkg/services.css")/>
        </head>
        <body>
            <header class="page-head">
                <h1><a href=at("/")>{frame.lang.words().services}</a></h1>
            </header>
            <main class="access-page">
                {links}
                <h2>{title}</h2>
                {said}
                {body}
            </main>
        </body>
    };
    format!(
        "<!DOCTYPE html><html lang=\"{}\" data-theme=\"{}\">{}</html>",
        frame.lang.code(),
        frame.theme.as_str(),
        super::written(whole.into_any())
    )
}
