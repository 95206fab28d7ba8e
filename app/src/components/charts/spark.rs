//! The geometry of a small line chart. Whole numbers only: formatting of fractions would weigh on the WASM.

/// SVG path data (`d`) of a series: its line, and the area under it.
///
/// The first point lies at the left edge, the last one at the right edge, of a box of `width` by `height` units whose upper
/// edge stands for `max`; higher values are drawn there. Absent points are gaps in both. A point alone between gaps is drawn
/// as a dash of about one step. Both are empty when no point is there.
pub fn path(points: &[Option<u32>], max: u32, width: u32, height: u32) -> (String, String) {
    let (mut line, mut area) = (String::new(), String::new());
    let last = points.len().saturating_sub(1);
    let steps = last.max(1) as u64;
    let x = |at: usize| width - (last.saturating_sub(at) as u64 * u64::from(width) / steps) as u32;
    let y =
        |value: u32| height - (u64::from(value.min(max)) * u64::from(height) / u64::from(max.max(1))) as u32;
    let mut run = |points: &mut dyn Iterator<Item = (u32, u32)>| {
        let mut before = None;
        for (x, y) in points {
            if before.is_none() {
                command(&mut line, 'M', x);
                command(&mut area, 'M', x);
                command(&mut area, ' ', height);
                command(&mut area, 'L', x);
            } else {
                command(&mut line, ' ', x);
                command(&mut area, ' ', x);
            }
            command(&mut line, ' ', y);
            command(&mut area, ' ', y);
            before = Some(x);
        }
        if before.is_some() {
            command(&mut area, 'V', height);
            area.push('Z');
        }
    };
    let mut first = 0;
    for slice in points.split(Option::is_none) {
        if let [Some(only)] = slice {
            let half = (u64::from(width) / steps / 2).max(1) as u32;
            let from = x(first).saturating_sub(half);
            let to = x(first).saturating_add(half).min(width);
            run(&mut [from, to].into_iter().map(|x| (x, y(*only))));
        } else {
            let numbered = slice.iter().flatten().enumerate();
            run(&mut numbered.map(|(n, value)| (x(first + n), y(*value))));
        }
        first += slice.len() + 1;
    }
    (line, area)
}

/// The least of 1, 2, 5, 10, 20, 50, … that no value exceeds; 1 where there is none above zero.
pub fn nice_max(values: &[Option<u32>]) -> u32 {
    let top = values.iter().flatten().copied().max().unwrap_or(0);
    let mut unit = 1_u32;
    loop {
        for step in [1, 2, 5] {
            // Above 2,000,000,000 there is no rounder number.
            let limit = unit.saturating_mul(step);
            if limit >= top {
                return limit;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A command, or a blank between numbers, and a number.
fn command(out: &mut String, letter: char, number: u32) {
    out.push(letter);
    digits(out, number);
}

fn digits(out: &mut String, number: u32) {
    if number > 9 {
        digits(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[Option<u32>]) -> (String, String) {
        path(points, 10, 100, 50)
    }

    fn both(line: &str, area: &str) -> (String, String) {
        (line.to_owned(), area.to_owned())
    }

    #[test]
    fn a_series_goes_from_edge_to_edge() {
        assert_eq!(
            drawn(&[Some(0), Some(10), Some(5)]),
            both("M0 50 50 0 100 25", "M0 50L0 50 50 0 100 25V50Z")
        );
    }

    #[test]
    fn absent_points_are_gaps() {
        assert_eq!(
            drawn(&[Some(0), Some(10), None, Some(5), Some(5), None]),
            both("M0 50 20 0M60 25 80 25", "M0 50L0 50 20 0V50ZM60 50L60 25 80 25V50Z")
        );
    }

    #[test]
    fn a_point_alone_is_a_dash() {
        assert_eq!(drawn(&[None, None, Some(10), None, None]), both("M38 0 62 0", "M38 50L38 0 62 0V50Z"));
        assert_eq!(drawn(&[Some(10), None, None]).0, "M0 0 25 0");
        assert_eq!(drawn(&[None, None, Some(10)]).0, "M75 0 100 0");
    }

    #[test]
    fn a_point_alone_is_visible_however_many_there_are() {
        let mut points = vec![None; 1000];
        points[500] = Some(10);
        let (line, _) = drawn(&points);
        assert_eq!(line, "M50 0 52 0");
    }

    #[test]
    fn the_only_point_of_all_is_at_the_right_edge() {
        assert_eq!(drawn(&[Some(10)]), both("M50 0 100 0", "M50 50L50 0 100 0V50Z"));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(drawn(&[]), both("", ""));
        assert_eq!(drawn(&[None, None]), both("", ""));
    }

    #[test]
    fn what_is_too_high_is_drawn_at_the_upper_edge() {
        assert_eq!(drawn(&[Some(11), Some(u32::MAX)]).0, "M0 0 100 0");
    }

    #[test]
    fn no_size_makes_it_panic() {
        for max in [0, 1, u32::MAX] {
            for size in [0, 1, u32::MAX] {
                for points in [&[Some(0), Some(u32::MAX)][..], &[None, Some(7), None], &[Some(1)]] {
                    path(points, max, size, size);
                }
            }
        }
        assert_eq!(path(&[Some(0), Some(0)], 0, 100, 50).0, "M0 50 100 50");
    }

    #[test]
    fn the_scale_ends_at_one_two_or_five() {
        for (top, limit) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 5),
            (6, 10),
            (11, 20),
            (50, 50),
            (51, 100),
            (999, 1000),
            (2_000_000_000, 2_000_000_000),
            (2_000_000_001, u32::MAX),
            (u32::MAX, u32::MAX),
        ] {
            assert_eq!(nice_max(&[None, Some(0), Some(top)]), limit, "{top}");
        }
        assert_eq!(nice_max(&[]), 1);
        assert_eq!(nice_max(&[None]), 1);
    }
}
