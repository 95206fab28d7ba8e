//! How long to wait before the next try.

const FIRST_MS: u32 = 500;
const LONGEST_MS: u32 = 8000;

/// Milliseconds before try number `failures` (from 1): 0.5 s doubling to 8 s, of which `jitter` (0 to 1) takes up to a
/// half, so that the tabs of a restarted server do not come all at once.
pub fn delay_ms(failures: u32, jitter: f64) -> u32 {
    let full = FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_MS);
    full / 2 + (f64::from(full / 2) * jitter.clamp(0.0, 1.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::delay_ms;

    #[test]
    fn waits_double_up_to_a_bound() {
        let full: Vec<u32> = (0..8).map(|failures| delay_ms(failures, 1.0)).collect();
        assert_eq!(full, [500, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(delay_ms(u32::MAX, 0.0), 4000);
        assert_eq!(delay_ms(1, -3.0), 250);
    }
}
