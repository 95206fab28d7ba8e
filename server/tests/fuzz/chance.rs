//! What may be sent, by chance, the same for the same seed.

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>, public domain.
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

/// Values that were meant for something else.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "+1",
    "1.5",
    "1e9",
    "007",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "170141183460469231731687303715884105728",
    "NaN",
    "null",
    "true",
    "on",
    "[]",
    "{}",
    "\0",
    "a\0b",
    " ",
    "\r\n",
    "a\r\nSet-Cookie: x=1",
    "%",
    "%zz",
    "%00",
    "%ff",
    "..",
    "../../etc/passwd",
    "/",
    "//evil.example",
    "\\",
    "vllm",
    "one",
    "all",
    "1.1",
    "1.",
    ".1",
    "1.18446744073709551615",
    "2026-11-23T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0000-00-00T00:00:00Z",
    "-262143-01-01T00:00:00Z",
    "2026-11-23T00:00:00.999999999999999999999Z",
    "(",
    "(?i)",
    "a{1000}{1000}",
    "(a*)*b",
    "\\p{Greek}",
    "[",
    "^$",
    "<script>alert(1)</script>",
    "'\"><x>",
    "\u{202e}\u{0}\u{feff}",
    "😀",
    "é",
    "'; DROP TABLE accounts; --",
    "$(id)",
    "`id`",
    "${HOME}",
    "{{7*7}}",
    "stdout",
    "jsonl",
    "text",
    "trace",
    "viewer",
    "admin",
    "start",
    "stop",
    "pull",
    "renew",
    "confirmed",
];

impl Chance {
    /// A value, seldom a very long one.
    pub fn value(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => self.bytes(40),
            1 => b"A".repeat(1 << self.below(15)),
            2 => "%ff%00+".repeat(self.below(200)).into_bytes(),
            3 => self.next().to_string().into_bytes(),
            _ => self.pick(VALUES).as_bytes().to_vec(),
        }
    }

    /// As an address or a form has it: mostly escaped as it must be, sometimes broken.
    pub fn escaped(&mut self, value: &[u8]) -> Vec<u8> {
        let broken = self.one_in(6);
        let mut text = Vec::new();
        for byte in value {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || broken && !b" \r\n".contains(byte) {
                text.push(*byte);
            } else {
                text.extend(format!("%{byte:02X}").bytes());
            }
        }
        text
    }
}
