//! The styles that a terminal's SGR sequences can ask for, reduced to the closed set of class words of the wire.

/// A stretch of text with one style; byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StyledPart {
    /// Where it begins.
    pub start: usize,
    /// Where it is over.
    pub end: usize,
    /// How it looks.
    pub style: Style,
}

/// Weight and colours of a stretch of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// One bit per word of [`FLAGS`].
    flags: u8,
    /// 1 + the index in [`COLOURS`]; 0 for none.
    text: u8,
    /// The same for the background.
    back: u8,
}

const FLAGS: [&str; 6] = ["bold", "dim", "italic", "underline", "inverse", "strike"];
const BOLD: u8 = 1;
const DIM: u8 = 1 << 1;
const ITALIC: u8 = 1 << 2;
const UNDERLINE: u8 = 1 << 3;
const INVERSE: u8 = 1 << 4;
const STRIKE: u8 = 1 << 5;

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

/// What xterm shows for the sixteen colours.
const PALETTE: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

impl Style {
    /// Appends the class words, separated by spaces.
    pub fn classes(self, out: &mut String) {
        let mut gap = "";
        let flags = FLAGS
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.flags & (1 << bit) != 0)
            .map(|(_, word)| ("", *word));
        let colour = |index: u8| usize::from(index).checked_sub(1).and_then(|i| COLOURS.get(i).copied());
        for (before, word) in
            flags.chain(colour(self.text).map(|c| ("", c))).chain(colour(self.back).map(|c| ("on-", c)))
        {
            for piece in [gap, before, word] {
                out.push_str(piece);
            }
            gap = " ";
        }
    }

    /// Applies the parameters of one SGR sequence (ECMA-48 8.3.117, and the colour forms of ISO 8613-6 that xterm reads).
    pub fn apply(&mut self, params: &[u8]) {
        if params.first().is_some_and(|b| matches!(b, b'<'..=b'?')) {
            return; // A private sequence that only looks like SGR.
        }
        let mut groups = params.split(|b| *b == b';');
        while let Some(group) = groups.next() {
            let mut subs = group.split(|b| *b == b':').map(number);
            let code = subs.next().flatten().unwrap_or(0);
            let on = |style: &mut Self, bit: u8| style.flags |= bit;
            match code {
                0 => *self = Self::default(),
                1 => on(self, BOLD),
                2 => on(self, DIM),
                3 => on(self, ITALIC),
                4 if subs.next() == Some(Some(0)) => self.flags &= !UNDERLINE,
                4 | 21 => on(self, UNDERLINE),
                7 => on(self, INVERSE),
                9 => on(self, STRIKE),
                22 => self.flags &= !(BOLD | DIM),
                23 => self.flags &= !ITALIC,
                24 => self.flags &= !UNDERLINE,
                27 => self.flags &= !INVERSE,
                29 => self.flags &= !STRIKE,
                30..=37 => self.text = small(code - 29),
                40..=47 => self.back = small(code - 39),
                90..=97 => self.text = small(code - 81),
                100..=107 => self.back = small(code - 91),
                39 => self.text = 0,
                49 => self.back = 0,
                38 | 48 | 58 => {
                    let colour = if group.contains(&b':') {
                        colon_colour(subs)
                    } else {
                        semicolon_colour(&mut groups)
                    };
                    match code {
                        38 => self.text = colour.unwrap_or(self.text),
                        48 => self.back = colour.unwrap_or(self.back),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// A decimal number; `None` for an empty or absurd one.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0_u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

fn small(n: u32) -> u8 {
    u8::try_from(n).unwrap_or_default()
}

/// `38;5;N` or `38;2;R;G;B`: takes its numbers from the groups that follow.
fn semicolon_colour<'a>(groups: &mut impl Iterator<Item = &'a [u8]>) -> Option<u8> {
    match groups.next().and_then(number)? {
        5 => groups.next().and_then(number).map(indexed),
        2 => {
            let mut channel = || groups.next().map(|g| number(g).unwrap_or(0));
            Some(nearest([channel()?, channel()?, channel()?]))
        }
        _ => None,
    }
}

/// `38:5:N`, `38:2:R:G:B` or `38:2:SPACE:R:G:B`.
fn colon_colour(mut subs: impl Iterator<Item = Option<u32>>) -> Option<u8> {
    match subs.next()?? {
        5 => subs.next()?.map(indexed),
        2 => {
            let values: Vec<u32> = subs.take(6).map(Option::unwrap_or_default).collect();
            match values.as_slice() {
                [r, g, b] | [_, r, g, b, ..] => Some(nearest([*r, *g, *b])),
                _ => None,
            }
        }
        _ => None,
    }
}

/// One of the 256 colours: sixteen, a cube of 6×6×6, 24 greys.
fn indexed(n: u32) -> u8 {
    let level = |step: u32| if step == 0 { 0 } else { 55 + step * 40 };
    match n {
        0..=15 => small(n + 1),
        16..=231 => nearest([level((n - 16) / 36), level((n - 16) / 6 % 6), level((n - 16) % 6)]),
        _ => nearest([8 + n.saturating_sub(232).min(23) * 10; 3]),
    }
}

fn nearest(rgb: [u32; 3]) -> u8 {
    let distance = |colour: &[u8; 3]| -> u32 {
        colour.iter().zip(rgb).map(|(a, b)| u32::from(*a).abs_diff(b.min(255)).pow(2)).sum()
    };
    let best = PALETTE.iter().enumerate().min_by_key(|(_, colour)| distance(colour)).map_or(0, |(i, _)| i);
    u8::try_from(best + 1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sgr_becomes_class_words() {
        let cases = [
            ("", ""),
            ("1;31", "bold red"),
            ("0;36", "cyan"),
            ("1;2;3;4;7;9;97;104", "bold dim italic underline inverse strike bright-white on-bright-blue"),
            ("1;22;31;39;41;49", ""),
            ("4;4:0", ""),
            ("4:3", "underline"),
            ("38;5;9", "bright-red"),
            ("38;5;196;1", "bold bright-red"),
            ("48;5;232", "on-black"),
            ("38;2;250;5;5;4", "underline bright-red"),
            ("38:2::0:0:240", "blue"),
            ("38:2:0:0:240", "blue"),
            ("58;5;1;32", "green"),
            ("38;5", ""),
            ("38;2;1", ""),
            (">4;2", ""),
            ("99999999999999999999", ""),
            ("31;;32", "green"),
        ];
        for (params, want) in cases {
            let mut style = Style::default();
            style.apply(params.as_bytes());
            let mut got = String::new();
            style.classes(&mut got);
            assert_eq!(got, want, "{params}");
        }
    }
}
