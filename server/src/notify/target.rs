//! Targets as they are configured: `[[notify]]` in `services.toml`, and one from the environment.

use super::Severity;
use super::address::Address;
use crate::settings::Secret;
use app::locales::Lang;
use app::model::{Origin, ServiceName, Setting};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Targets that there may be.
const MOST_TARGETS: usize = 16;
/// How long the same is not told again, where nothing is said.
const COOLDOWN_S: u64 = 600;

/// For whom a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A program: JSON with all fields.
    Generic,
    /// A Slack webhook, or one of the many that take the same.
    Slack,
    /// A Discord webhook.
    Discord,
    /// A workflow of Microsoft Teams.
    Teams,
    /// A bot of Telegram: `sendMessage`, the chat in the address.
    Telegram,
    /// A topic of ntfy.
    Ntfy,
    /// A Gotify server.
    Gotify,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Generic, Self::Slack, Self::Discord, Self::Teams, Self::Telegram, Self::Ntfy, Self::Gotify];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::Telegram => "telegram",
            Self::Ntfy => "ntfy",
            Self::Gotify => "gotify",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }
}

/// `[[notify]]`
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name on the page.
    pub name: String,
    /// Where it is. A secret.
    pub url: String,
    /// For whom it is written.
    pub preset: Option<String>,
    /// The key that messages are signed with.
    pub secret: Option<String>,
    /// What ntfy and Gotify want to see before they take a message.
    pub token: Option<String>,
    /// The least severe that is told.
    pub floor: Option<String>,
    /// Of which services; of all, if absent.
    pub services: Option<Vec<String>>,
    /// How long the same of the same service is not told again.
    pub cooldown_s: Option<u64>,
    /// `en` or `ru`.
    pub language: Option<String>,
}

/// It holds secrets: they are not shown.
impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "notify {:?}", self.name)
    }
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name on the page.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// For whom it is written.
    pub preset: Preset,
    /// The key that messages are signed with.
    pub secret: Option<Secret>,
    /// What ntfy and Gotify want to see.
    pub token: Option<Secret>,
    /// The least severe that is told.
    pub floor: Severity,
    /// Of which services; of all, if absent.
    pub services: Option<Vec<ServiceName>>,
    /// How long the same of the same service is not told again.
    pub cooldown: Duration,
    /// In which language.
    pub lang: Lang,
    /// Who configured it.
    pub origin: Origin,
}

impl Target {
    /// As `--check-config` shows it.
    pub fn report(&self) -> Vec<Setting> {
        let row = |name: &str, value: Option<String>, secret: bool, set: bool| Setting {
            name: name.to_owned(),
            value,
            secret,
            set,
            origin: self.origin.clone(),
        };
        let plain = |name: &str, value: String| row(name, Some(value), false, true);
        let services = self.services.as_ref().map_or_else(
            || "all".to_owned(),
            |some| some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
        vec![
            plain("url", self.address.to_string()),
            plain("preset", self.preset.as_str().to_owned()),
            row("secret", None, true, self.secret.is_some()),
            row("token", None, true, self.token.is_some()),
            plain("floor", self.floor.as_str().to_owned()),
            plain("services", services),
            plain("cooldown_s", self.cooldown.as_secs().to_string()),
            plain("language", self.lang.code().to_owned()),
        ]
    }

    /// Whether it wants to hear of this service at all; what belongs to none concerns everybody.
    pub fn wants(&self, service: Option<&ServiceName>, severity: Severity) -> bool {
        let named = |name: &ServiceName| self.services.as_ref().is_none_or(|some| some.contains(name));
        severity >= self.floor && service.is_none_or(named)
    }
}

/// All targets, from the file and the environment. What is wrong is noted, without any address.
pub fn targets(tables: Vec<Table>, env: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for table in tables {
        let name = table.name.clone();
        let Some(target) = read(table, Origin::File, &format!("notify {name:?}"), wrong) else { continue };
        if found.iter().any(|other| other.name == target.name) {
            wrong.push(format!("notify {name:?}: the name is used twice"));
        }
        found.push(target);
    }
    let variable = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(url) = variable("SERVICES_NOTIFY_URL") {
        let table = Table {
            name: "environment".to_owned(),
            url,
            preset: variable("SERVICES_NOTIFY_PRESET"),
            secret: variable("SERVICES_NOTIFY_SECRET"),
            ..Table::default()
        };
        if found.iter().any(|other| other.name == table.name) {
            wrong.push(
                "notify \"environment\": the name is that of the target of SERVICES_NOTIFY_URL".to_owned(),
            );
        }
        found.extend(read(table, Origin::Environment, "SERVICES_NOTIFY (environment)", wrong));
    } else if variable("SERVICES_NOTIFY_SECRET").or_else(|| variable("SERVICES_NOTIFY_PRESET")).is_some() {
        wrong.push(
            "SERVICES_NOTIFY_URL is not set, but SERVICES_NOTIFY_SECRET or SERVICES_NOTIFY_PRESET is"
                .to_owned(),
        );
    }
    if found.len() > MOST_TARGETS {
        wrong.push(format!("notify: at most {MOST_TARGETS} targets are allowed"));
    }
    found
}

fn read(table: Table, origin: Origin, label: &str, wrong: &mut Vec<String>) -> Option<Target> {
    let before = wrong.len();
    let mut say = |key: &str, why: String| wrong.push(format!("{label}: {key}: {why}"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    if table.name.is_empty()
        || table.name.len() > 40
        || !table.name.chars().all(plain)
        || table.name.trim() != table.name
    {
        say("name", "allowed are 1 to 40 letters, digits, '-', '_', '.' and spaces".to_owned());
    }
    let address = Address::parse(&table.url).map_err(|why| say("url", why)).ok();
    let preset = table.preset.as_deref().unwrap_or("generic");
    let preset = Preset::parse(preset);
    if preset.is_none() {
        let all: Vec<&str> = Preset::ALL.iter().map(|preset| preset.as_str()).collect();
        say("preset", format!("it is not allowed: allowed are {}", all.join(", ")));
    }
    let mut secret = |key: &str, text: Option<String>| {
        text.and_then(|text| {
            Secret::parse(&text).map_err(|why| say(key, format!("its value is not allowed: {why}"))).ok()
        })
    };
    let signing = secret("secret", table.secret);
    let token = secret("token", table.token);
    if signing.as_ref().is_some_and(|secret| secret.reveal().len() < 16) {
        say("secret", "it needs at least 16 characters: `openssl rand -hex 32` makes a good one".to_owned());
    }
    if token.is_some() && !matches!(preset, Some(Preset::Ntfy | Preset::Gotify)) {
        say("token", "it goes with the presets ntfy and gotify alone".to_owned());
    }
    if preset == Some(Preset::Telegram) && address.as_ref().is_some_and(|a| a.query("chat_id").is_none()) {
        say(
            "url",
            "for telegram it is https://api.telegram.org/botTOKEN/sendMessage?chat_id=CHAT".to_owned(),
        );
    }
    if preset == Some(Preset::Ntfy) && address.as_ref().is_some_and(|a| super::write::topic(a).is_none()) {
        say("url", "for ntfy it ends with the topic, such as https://ntfy.example.com/TOPIC".to_owned());
    }
    let floor = table.floor.as_deref().unwrap_or("info");
    let floor = Severity::parse(floor);
    if floor.is_none() {
        say("floor", "it is not allowed: allowed are info, warning and error".to_owned());
    }
    let services = table.services.map(|names| {
        let parsed = names
            .iter()
            .filter_map(|name| ServiceName::parse(name).map_err(|e| say("services", e.to_string())).ok());
        parsed.collect()
    });
    let cooldown = table.cooldown_s.unwrap_or(COOLDOWN_S);
    if cooldown > 86_400 {
        say("cooldown_s", "allowed is a number of seconds up to 86400; 0 tells everything".to_owned());
    }
    let lang = Lang::parse(table.language.as_deref().unwrap_or("en"));
    if lang.is_none() {
        say("language", "it is not allowed: allowed are en and ru".to_owned());
    }
    (wrong.len() == before).then_some(())?;
    Some(Target {
        name: table.name,
        address: address?,
        preset: preset?,
        secret: signing,
        token,
        floor: floor?,
        services,
        cooldown: Duration::from_secs(cooldown),
        lang: lang?,
        origin,
    })
}
