//! Claims about hashes: published vectors, saved states, states that nobody saved.

use proptest::prelude::*;

use super::*;

/// What was published: algorithm, digest, text.
fn published() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (algorithm, rest) = line.split_once(' ').unwrap();
        let (digest, text) = rest.split_once(' ').unwrap_or((rest, ""));
        (algorithm, digest, text)
    })
}

/// In the place of a text that is as long.
const MILLION: &str = "(a million times the letter a)";

fn algorithm(name: &str) -> Algorithm {
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name).unwrap()
}

fn hex(hash: &Hash) -> String {
    String::from_utf8(hash.hex().as_bytes().to_vec()).unwrap()
}

fn hash(algorithm: Algorithm, bytes: &[u8]) -> Hash {
    let mut hash = Hash::new(algorithm);
    hash.update(bytes);
    hash
}

/// Bytes of which no two blocks are alike.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Bytes of a block.
fn block(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha384 | Algorithm::Sha512 | Algorithm::Blake2b => 128,
        _ => 64,
    }
}

#[test]
fn published_digests_come_out() {
    assert_eq!(published().count(), 34);
    for (name, digest, text) in published().filter(|(.., text)| *text != MILLION) {
        assert_eq!(hex(&hash(algorithm(name), text.as_bytes())), digest, "{name} of '{text}'");
    }
}

#[test]
fn a_million_letters_in_pieces_give_the_known_digest() {
    let letters = [b'a'; 1_000_000];
    for (name, digest, _) in published().filter(|(.., text)| *text == MILLION) {
        for piece in [1, 63, 64, 1000, 65_537, letters.len()] {
            let mut hash = Hash::new(algorithm(name));
            for bytes in letters.chunks(piece) {
                hash.update(bytes);
            }
            assert_eq!(hex(&hash), digest, "{name} by {piece}");
        }
    }
}

#[test]
fn every_algorithm_has_its_name_and_number() {
    for (index, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        assert_eq!(algorithm as usize, index + 1);
        assert_eq!(Algorithm::from_number(algorithm as u8), Some(algorithm));
        assert_eq!(Hash::new(algorithm).algorithm(), algorithm);
    }
    assert_eq!(Algorithm::from_number(0), None);
    assert_eq!(Algorithm::from_number(9), None);
}

#[test]
fn a_hash_saved_anywhere_goes_on() {
    for algorithm in Algorithm::ALL {
        let text = text(2 * block(algorithm) + 17);
        for split in 0..=2 * block(algorithm) + 1 {
            let first = hash(algorithm, &text[..split]);
            let mut second = Hash::load(first.save().as_bytes()).unwrap();
            assert_eq!(second.algorithm(), algorithm);
            assert_eq!(hex(&second), hex(&first), "{algorithm:?} at {split}");
            second.update(&text[split..]);
            assert_eq!(hex(&second), hex(&hash(algorithm, &text)), "{algorithm:?} at {split}");
            assert_eq!(hex(&first), hex(&hash(algorithm, &text[..split])), "the first one is untouched");
        }
    }
}

#[test]
fn the_digest_leaves_the_hash_usable() {
    for algorithm in Algorithm::ALL {
        let mut hash = hash(algorithm, b"ab");
        assert_eq!(hex(&hash), hex(&hash));
        hash.update(b"c");
        assert_eq!(hex(&hash), hex(&self::hash(algorithm, b"abc")));
    }
}

/// Where the number of blocks stands in a saved state, found by hashing.
fn blocks_at(algorithm: Algorithm) -> usize {
    let saved = |blocks: usize| hash(algorithm, &vec![0; blocks * block(algorithm) + 1]).save();
    let (three, four) = (saved(3), saved(4));
    // Other bytes change too, but none as the number does.
    let found: Vec<usize> = (1..three.as_bytes().len())
        .filter(|&at| three.as_bytes()[at] == 3 && four.as_bytes()[at] == 4)
        .filter(|&at| saved(5).as_bytes()[at] == 5 && saved(77).as_bytes()[at] == 77)
        .collect();
    assert_eq!(found.len(), 1, "{algorithm:?}");
    found[0]
}

#[test]
fn a_state_that_claims_too_many_blocks_is_refused() {
    for algorithm in Algorithm::ALL {
        let place = blocks_at(algorithm);
        let wide = matches!(algorithm, Algorithm::Sha384 | Algorithm::Sha512);
        let state = hash(algorithm, &text(1000)).save();
        let with = |blocks: u128| {
            let mut bytes = state.as_bytes().to_vec();
            let len = if wide { 16 } else { 8 };
            bytes[place..place + len].copy_from_slice(&blocks.to_le_bytes()[..len]);
            Hash::load(&bytes)
        };
        let most = 1 << 48;
        let mut last = with(most).unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
        last.update(&text(1000));
        last.hex();
        for blocks in [most + 1, u128::from(u64::MAX) / 512, u128::from(u64::MAX) / 64, u128::from(u64::MAX)]
        {
            assert_eq!(with(blocks).err(), Some(LoadError::Damaged(algorithm)), "{algorithm:?} {blocks:x}");
        }
        if wide {
            assert_eq!(with(u128::MAX).err(), Some(LoadError::Damaged(algorithm)));
            assert_eq!(with(1 << 64).err(), Some(LoadError::Damaged(algorithm)));
        }
    }
}

#[test]
fn a_buffer_that_cannot_be_is_refused() {
    for algorithm in Algorithm::ALL {
        let size = block(algorithm);
        let lazy = matches!(algorithm, Algorithm::Blake2b | Algorithm::Blake2s);
        let state = hash(algorithm, &text(size + 5)).save().as_bytes().to_vec();
        // An eager buffer is never full: it has a byte less.
        let place = state.len() - size - usize::from(lazy);
        assert_eq!(state[place], 5, "{algorithm:?}: the buffer's length");
        let damaged = Some(LoadError::Damaged(algorithm));
        let refused = |at: usize, byte: u8| {
            let mut bytes = state.clone();
            bytes[at] = byte;
            assert_eq!(Hash::load(&bytes).err(), damaged, "{algorithm:?}: byte {at} is {byte}");
        };
        refused(place, size as u8 + 1);
        refused(place, 255);
        refused(place, 4);
        refused(place + 6, 1);
        refused(state.len() - 1, 1);
        if lazy {
            let mut empty = state.clone();
            empty[place..].fill(0);
            assert_eq!(Hash::load(&empty).err(), damaged, "blocks, and no last one");
        } else {
            refused(place, size as u8);
        }
    }
}

#[test]
fn other_bytes_are_refused_in_words() {
    let words = |bytes: &[u8]| Hash::load(bytes).err().unwrap().to_string();
    assert_eq!(words(&[]), "the state of a hash is empty");
    assert_eq!(words(&[0]), "unknown hash algorithm (0)");
    assert_eq!(words(&[9; 300]), "unknown hash algorithm (9)");
    assert_eq!(words(&[1]), "the state of a md5 hash has 88 bytes, not 0");
    let mut bytes = hash(Algorithm::Md5, b"abc").save().as_bytes().to_vec();
    bytes[0] = Algorithm::Sha512 as u8;
    assert_eq!(words(&bytes), "the state of a sha512 hash has 208 bytes, not 88");
    bytes[0] = Algorithm::Md5 as u8;
    bytes.push(0);
    assert_eq!(words(&bytes), "the state of a md5 hash has 88 bytes, not 89");
    assert_eq!(words(&[1; 89]), "the state of a md5 hash is damaged");
}

/// The digest by RustCrypto's own BLAKE2.
fn reference(algorithm: Algorithm, bytes: &[u8]) -> String {
    use digest::Digest;
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect();
    match algorithm {
        Algorithm::Blake2b => hex(&::blake2::Blake2b512::digest(bytes)),
        _ => hex(&::blake2::Blake2s256::digest(bytes)),
    }
}

#[test]
fn blake2_is_rustcrypto_s_at_every_length() {
    let text = text(600);
    for algorithm in [Algorithm::Blake2b, Algorithm::Blake2s] {
        for len in 0..=text.len() {
            assert_eq!(hex(&hash(algorithm, &text[..len])), reference(algorithm, &text[..len]), "{len}");
        }
    }
}

#[test]
fn the_counter_goes_on_past_32_bits() {
    // BLAKE2s counts the message's bytes in two words; nothing but the counter tells these two apart.
    let place = blocks_at(Algorithm::Blake2s);
    let mut bytes = hash(Algorithm::Blake2s, &text(100)).save().as_bytes().to_vec();
    let short = Hash::load(&bytes).unwrap();
    bytes[place..place + 8].copy_from_slice(&((1u64 << 26) + 1).to_le_bytes());
    let long = Hash::load(&bytes).unwrap();
    assert_ne!(hex(&short), hex(&long));
    // The last block before 4 GiB and the two after it.
    bytes[place..place + 8].copy_from_slice(&((1u64 << 26) - 2).to_le_bytes());
    let mut hash = Hash::load(&bytes).unwrap();
    hash.update(&text(200));
    assert_eq!(hash.save().as_bytes()[place..place + 8], ((1u64 << 26) + 1).to_le_bytes());
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    (0..Algorithm::ALL.len()).prop_map(|index| Algorithm::ALL[index])
}

proptest! {
    #[test]
    fn pieces_saved_between_them_give_the_digest_of_the_whole(
        algorithm in any_algorithm(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..8),
    ) {
        let mut moved = Hash::new(algorithm);
        for piece in &pieces {
            moved.update(piece);
            moved = Hash::load(moved.save().as_bytes()).unwrap();
        }
        let whole = pieces.concat();
        prop_assert_eq!(hex(&moved), hex(&hash(algorithm, &whole)));
        if matches!(algorithm, Algorithm::Blake2b | Algorithm::Blake2s) {
            prop_assert_eq!(hex(&moved), reference(algorithm, &whole));
        }
    }

    #[test]
    fn what_is_accepted_saves_the_same_bytes_and_works(
        algorithm in any_algorithm(),
        len in 0usize..300,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = hash(algorithm, &text(len)).save().as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut hash) = Hash::load(&bytes) {
            let saved = hash.save();
            prop_assert_eq!(saved.as_bytes(), &bytes[..]);
            hash.update(&text(300));
            hash.hex();
        }
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..260)) {
        if let Ok(mut hash) = Hash::load(&bytes) {
            hash.update(&text(300));
            hash.hex();
        }
    }
}
