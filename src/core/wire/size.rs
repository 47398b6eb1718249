//! Sizes as people write them.

/// The largest limit of memory: more than a process can address would only wrap around later.
pub const MOST_MEMORY: u64 = 1 << 40;

/// A number of bytes: digits, and K, M, G or T for powers of 1024.
pub fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.chars().last()?.to_ascii_uppercase() {
        'K' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    // The standard library would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_take_a_suffix() {
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("64K"), Some(65536));
        assert_eq!(parse_size("2g"), Some(2 << 30));
        assert_eq!(parse_size("1T"), Some(1 << 40));
        for wrong in ["", "M", "+1", "-1", "1.5M", "1KK", " 1", "99999999999G", "1ſ"] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }
}
