//! How one line looks: vLLM's prefix, uvicorn's two kinds of line, and their colours on a terminal.

use crate::clock;

/// The processes that log. The number is the place of its pid in [`super::Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The main process, which serves HTTP.
    ApiServer = 0,
    /// The process that schedules requests.
    EngineCore = 1,
    /// The process that holds the model.
    Worker = 2,
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain report.
    Info,
    /// Something odd; it goes on.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Info => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Error => "\x1b[31m",
        }
    }
}

/// Whether lines carry ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

impl Style {
    /// Coloured on a terminal, unless `NO_COLOR` is set.
    pub fn of(is_terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_terminal && !refused { Self::Coloured } else { Self::Plain }
    }

    pub fn prefix(self, process: &str, pid: u32, level: Level, source: &str) -> String {
        let (date, name) = (clock::log_date(), level.name());
        match self {
            Self::Plain => format!("({process} pid={pid}) {name} {date} [{source}] "),
            Self::Coloured => format!(
                "\x1b[0;36m({process} pid={pid})\x1b[0;0m {}{name}\x1b[0m \x1b[90m{date}\x1b[0m \x1b[90m[{source}]\x1b[0m ",
                level.colour()
            ),
        }
    }

    pub fn uvicorn_level(self) -> &'static str {
        match self {
            Self::Plain => "INFO:",
            Self::Coloured => "\x1b[32mINFO\x1b[0m:",
        }
    }

    pub fn cyan(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[36m{text}\x1b[0m"),
        }
    }

    pub fn access(self, peer: &str, request: &str, status: u16, reason: &str) -> String {
        let level = self.uvicorn_level();
        match self {
            Self::Plain => format!("{level}     {peer} - \"{request}\" {status} {reason}\n"),
            Self::Coloured => {
                let colour = match status {
                    200..300 => 32,
                    300..400 => 33,
                    400..500 => 31,
                    500.. => 91,
                    _ => 97,
                };
                format!(
                    "{level}     {peer} - \"\x1b[1m{request}\x1b[0m\" \x1b[{colour}m{status} {reason}\x1b[0m\n"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_recording_on_a_terminal() {
        let line = Style::Coloured.prefix("APIServer", 15_575, Level::Warning, "vllm.py:725");
        assert!(line.starts_with("\x1b[0;36m(APIServer pid=15575)\x1b[0;0m \x1b[33mWARNING\x1b[0m \x1b[90m"));
        assert!(line.ends_with("\x1b[0m \x1b[90m[vllm.py:725]\x1b[0m "));
        assert_eq!(
            Style::Coloured.access("127.0.0.1:1", "GET / HTTP/1.1", 404, "Not Found"),
            "\x1b[32mINFO\x1b[0m:     127.0.0.1:1 - \"\x1b[1mGET / HTTP/1.1\x1b[0m\" \x1b[31m404 Not Found\x1b[0m\n"
        );
    }
}
