//! Times and sizes as the command line has them.

use llib_core::wire::size::{MOST_MEMORY, parse_size};

/// Units of time and how many milliseconds each is.
const TIMES: [(&str, f64); 5] =
    [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0), ("h", 3_600_000.0)];

/// Milliseconds: `5s`, `1.5s`, `200ms`; without a unit they are milliseconds, as in the whole API.
pub(crate) fn time(text: &str) -> Result<f64, String> {
    const EXPECTED: &str = "a time above zero is expected, such as 5s, 1.5s, 200ms, 2m or 1h";
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let scale = if unit.is_empty() {
        Some(1.0)
    } else {
        TIMES.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
    };
    // The standard library would take a sign too.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = digits.parse::<f64>().ok().filter(|_| plain);
    let time = number.zip(scale).map(|(number, scale)| number * scale);
    time.filter(|time| *time > 0.0 && time.is_finite()).ok_or_else(|| EXPECTED.to_owned())
}

/// Bytes of memory.
pub(crate) fn memory(text: &str) -> Result<i64, String> {
    size_up_to(text, MOST_MEMORY, ", at most 1T")
}

/// Bytes of a file.
pub(crate) fn file_size(text: &str) -> Result<i64, String> {
    size_up_to(text, i64::MAX.cast_unsigned(), "")
}

/// Bytes of captured output.
pub(crate) fn capture(text: &str) -> Result<i64, String> {
    size_up_to(text, MOST_CAPTURED, ", at most 512M")
}

/// Held in memory by three processes, and by four once it is JSON.
const MOST_CAPTURED: u64 = 512 << 20;

fn size_up_to(text: &str, most: u64, words: &str) -> Result<i64, String> {
    let size = parse_size(text).filter(|size| *size <= most).and_then(|size| i64::try_from(size).ok());
    size.ok_or_else(|| format!("a size is expected, such as 65536, 64K or 16M{words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_units_and_fractions() {
        for (text, expected) in [
            ("5s", 5000.0),
            ("1.5s", 1500.0),
            ("200ms", 200.0),
            ("2m", 120_000.0),
            ("1h", 3.6e6),
            ("250us", 0.25),
            ("70", 70.0),
            (".5s", 500.0),
        ] {
            assert_eq!(time(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", "s", "0", "0s", "-1s", "+1s", "1 s", "1e3", "inf", "NaN", "1S", "5sec", "1.2.3s", "1m30s",
            "٣s",
        ] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_an_end() {
        assert_eq!(memory("64M"), Ok(64 << 20));
        assert_eq!(memory("1T"), Ok(1 << 40));
        assert!(memory("2T").is_err() && memory("-1").is_err() && memory("64MB").is_err());
        assert_eq!(file_size("2T"), Ok(2 << 40));
        assert!(file_size("99999999T").is_err());
        assert!(capture("1G").is_err());
    }

    proptest! {
        #[test]
        fn a_whole_number_of_a_unit_is_that_many(number in 1_u32.., unit in 0..TIMES.len()) {
            let (name, scale) = TIMES[unit];
            prop_assert_eq!(time(&format!("{number}{name}")), Ok(f64::from(number) * scale));
        }

        #[test]
        fn nothing_that_is_typed_makes_a_panic_or_a_time_of_no_use(text in ".{0,12}") {
            if let Ok(time) = time(&text) {
                prop_assert!(time > 0.0 && time.is_finite());
            }
            if let Ok(size) = memory(&text) {
                prop_assert!((0..=1 << 40).contains(&size));
            }
        }

        #[test]
        fn sizes_grow_with_their_suffix(number in 1_i64..1024) {
            let sizes: Vec<i64> = ["", "K", "M", "G"].iter().map(|suffix| memory(&format!("{number}{suffix}")).unwrap()).collect();
            prop_assert_eq!(sizes, vec![number, number << 10, number << 20, number << 30]);
        }
    }
}
