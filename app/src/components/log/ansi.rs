//! ANSI styles of the closed set of the wire, packed into two bytes, and the class names that the theme colours.

const FLAGS: [&str; 6] = ["bold", "dim", "italic", "underline", "inverse", "strike"];
const COLOURS: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

/// Six flags, a colour of the text, a colour of the ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style(u16);

impl Style {
    /// Reads class words; unknown ones are left out.
    pub fn parse(words: &str) -> Self {
        let mut bits = 0;
        for word in words.split(' ') {
            if let Some(flag) = FLAGS.iter().position(|f| *f == word) {
                bits |= 1 << flag;
            } else if let Some(colour) = COLOURS.iter().position(|c| *c == word) {
                bits = bits & !(0x1f << 6) | (colour as u16 + 1) << 6;
            } else if let Some(ground) =
                word.strip_prefix("on-").and_then(|word| COLOURS.iter().position(|c| *c == word))
            {
                bits = bits & !(0x1f << 11) | (ground as u16 + 1) << 11;
            }
        }
        Self(bits)
    }

    /// The class attribute.
    pub fn classes(self) -> String {
        let mut out = String::new();
        let mut add = |prefix: &str, word: &str| {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(prefix);
            out.push_str(word);
        };
        for (bit, flag) in FLAGS.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                add("ansi-", flag);
            }
        }
        for (shift, prefix) in [(6, "ansi-"), (11, "ansi-on-")] {
            if let Some(colour) =
                (self.0 >> shift & 0x1f).checked_sub(1).and_then(|n| COLOURS.get(usize::from(n)))
            {
                add(prefix, colour);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_word_of_the_wire_survives_packing() {
        for word in FLAGS.iter().chain(&COLOURS) {
            assert_eq!(Style::parse(word).classes(), format!("ansi-{word}"));
        }
        for colour in COLOURS {
            assert_eq!(Style::parse(&format!("on-{colour}")).classes(), format!("ansi-on-{colour}"));
        }
        assert_eq!(
            Style::parse("bright-white on-red bold strike").classes(),
            "ansi-bold ansi-strike ansi-bright-white ansi-on-red"
        );
    }

    #[test]
    fn unknown_words_are_left_out() {
        assert_eq!(Style::parse("").classes(), "");
        assert_eq!(Style::parse("blink on-fire red\" onload=x").classes(), "");
    }
}
