//! Making text of numbers, and harmless text of what others wrote.

/// The text without anything that a terminal would obey, and not too long.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 200;
    // Controls, and the invisible ones that turn the direction of writing or leave no trace.
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().take(MOST).map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The first digits of an object's number.
pub(super) fn short(id: u64) -> String {
    format!("{:08x}", id >> 32)
}

/// Bytes in at most five letters: `812K`, `2.1M`, `14.0G`.
pub(super) fn bytes(bytes: u64) -> String {
    let kib = bytes.div_ceil(1024) as f64;
    let units = [("K", 1.0), ("M", 1024.0), ("G", 1024.0 * 1024.0), ("T", 1024.0 * 1024.0 * 1024.0)];
    let (unit, size) = units.into_iter().rev().find(|(_, size)| kib >= *size).unwrap_or(units[0]);
    if unit == "K" { format!("{kib:.0}K") } else { format!("{:.1}{unit}", kib / size) }
}

/// A time in at most six letters: `0.4s`, `2:03`, `5h12m`, `3d04h`.
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{seconds:.1}s"),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        3600..86400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86400, whole / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_a_mark() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{202e}d\u{9b}é"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}é");
        assert_eq!(printable(&"x".repeat(10_000)).len(), 200);
    }

    #[test]
    fn numbers_are_short() {
        let sizes = [0, 1, 831_488, 2 << 20, 15_032_385_536].map(bytes);
        assert_eq!(sizes, ["0K", "1K", "812K", "2.0M", "14.0G"]);
        let times = [0.44, 59.0, 123.0, 18_720.0, 273_600.0].map(time);
        assert_eq!(times, ["0.4s", "59s", "2:03", "5h12m", "3d04h"]);
    }
}
