//! The form of a message for each of the tools that people use.

use super::address::Address;
use super::message::{Message, Severity};
use super::target::{Preset, Target};
use serde_json::{Value, json};

/// What is sent: path and query, further headers, and a body of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Path and query. They may hold tokens.
    pub path: String,
    /// Further headers. They may hold tokens.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The topic of an ntfy address, and the path before it.
pub fn topic(address: &Address) -> Option<(&str, &str)> {
    let path = address.reveal().split('?').next()?;
    path.rsplit_once('/').filter(|(_, topic)| !topic.is_empty())
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Text, below its headline.
fn plain(message: &Message) -> String {
    let mut text = format!("{}\n{}", message.headline, message.text);
    if let Some(link) = &message.link {
        text.push('\n');
        text.push_str(link);
    }
    text
}

/// Slack takes these three for markup.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes a message for a target.
pub fn write(message: &Message, target: &Target) -> Written {
    let address = &target.address;
    let mut written = Written { path: address.reveal().to_owned(), headers: Vec::new(), body: Vec::new() };
    let priority = |info: u8, warning: u8, error: u8| match message.severity {
        Severity::Info => info,
        Severity::Warning => warning,
        Severity::Error => error,
    };
    let body: Value = match target.preset {
        Preset::Generic => json!({
            "version": 1,
            "kind": message.topic.as_str(),
            "severity": message.severity.as_str(),
            "service": message.service,
            "title": message.headline,
            "text": message.text,
            "cause": message.cause,
            "at": message.at,
            "more": message.more,
            "link": message.link,
        }),
        Preset::Slack => {
            let link = message.link.as_ref().map(|link| format!("\n<{}>", slack(link))).unwrap_or_default();
            json!({ "text": format!("*{}*\n{}{link}", slack(&message.headline), slack(&message.text)) })
        }
        // Names in a message shall call nobody.
        Preset::Discord => {
            json!({ "content": cut(&plain(message), 1900), "allowed_mentions": { "parse": [] } })
        }
        Preset::Teams => {
            let color = match message.severity {
                Severity::Info => "good",
                Severity::Warning => "warning",
                Severity::Error => "attention",
            };
            let actions: Vec<Value> = message
                .link
                .iter()
                .map(|link| json!({ "type": "Action.OpenUrl", "title": "Services", "url": link }))
                .collect();
            json!({ "type": "message", "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [
                        { "type": "TextBlock", "text": message.headline, "weight": "bolder", "color": color, "wrap": true },
                        { "type": "TextBlock", "text": message.text, "wrap": true },
                    ],
                    "actions": actions,
                },
            }] })
        }
        Preset::Telegram => {
            let chat = address.query("chat_id").unwrap_or_default().replace("%40", "@");
            written.path = address.reveal().split('?').next().unwrap_or_default().to_owned();
            json!({ "chat_id": chat, "text": cut(&plain(message), 4000), "disable_web_page_preview": true })
        }
        Preset::Ntfy => {
            let (before, topic) = topic(address).unwrap_or_default();
            let query = address.reveal().split_once('?').map(|(_, query)| format!("?{query}"));
            written.path = format!("{before}/{}", query.unwrap_or_default());
            if let Some(token) = &target.token {
                written.headers.push(("authorization", format!("Bearer {}", token.reveal())));
            }
            let mut body = json!({
                "topic": topic,
                "title": message.headline,
                "message": cut(&message.text, 3000),
                "priority": priority(3, 4, 5),
                "tags": [match message.severity {
                    Severity::Info => "white_check_mark",
                    Severity::Warning => "warning",
                    Severity::Error => "rotating_light",
                }],
            });
            if let (Some(link), Some(fields)) = (&message.link, body.as_object_mut()) {
                fields.insert("click".to_owned(), json!(link));
            }
            body
        }
        Preset::Gotify => {
            if let Some(token) = &target.token {
                written.headers.push(("x-gotify-key", token.reveal().to_owned()));
            }
            let mut body = json!({
                "title": message.headline,
                "message": message.text,
                "priority": priority(4, 6, 8),
            });
            if let (Some(link), Some(fields)) = (&message.link, body.as_object_mut()) {
                fields.insert(
                    "extras".to_owned(),
                    json!({ "client::notification": { "click": { "url": link } } }),
                );
            }
            body
        }
    };
    written.body = body.to_string().into_bytes();
    written
}
