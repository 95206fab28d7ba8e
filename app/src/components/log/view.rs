//! How the log window shows lines: chosen in its menu, kept in a cookie like the theme, and the window's classes, so that
//! the server renders what the browser goes on with.

/// What stands before a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// The time of day.
    #[default]
    Day,
    /// The time since the run was started.
    Relative,
    /// Nothing.
    None,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogView {
    /// Long lines take several rows.
    pub wrap: bool,
    /// What stands before a line.
    pub times: Times,
    /// Rows are low.
    pub compact: bool,
    /// Lines of one kind that follow each other are not folded.
    pub unfolded: bool,
}

impl LogView {
    /// Reads the words; unknown ones say nothing.
    pub fn parse(text: &str) -> Self {
        let has = |wanted: &str| text.split([' ', '.']).any(|word| word == wanted);
        let times = match (has("relative"), has("timeless")) {
            (true, _) => Times::Relative,
            (_, true) => Times::None,
            _ => Times::Day,
        };
        Self { wrap: has("wrap"), times, compact: has("compact"), unfolded: has("unfolded") }
    }

    /// The words, with `separator` between them.
    pub fn words(self, separator: &str) -> String {
        let times = match self.times {
            Times::Day => "",
            Times::Relative => "relative",
            Times::None => "timeless",
        };
        let flag = |on: bool, word: &'static str| if on { word } else { "" };
        let mut text = String::new();
        for word in
            [flag(self.wrap, "wrap"), times, flag(self.compact, "compact"), flag(self.unfolded, "unfolded")]
        {
            if !word.is_empty() {
                if !text.is_empty() {
                    text.push_str(separator);
                }
                text.push_str(word);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_survives_as_words_and_nonsense_is_the_usual_view() {
        for bits in 0..24 {
            let view = LogView {
                wrap: bits & 1 != 0,
                compact: bits & 2 != 0,
                unfolded: bits & 4 != 0,
                times: [Times::Day, Times::Relative, Times::None][bits >> 3],
            };
            assert_eq!(LogView::parse(&view.words(".")), view);
            assert_eq!(LogView::parse(&format!("log-window {}", view.words(" "))), view);
        }
        assert_eq!(LogView::parse("\"><script>wrapped;no-wrap"), LogView::default());
    }
}
