//! How long it takes. Prints; run with `cargo test --release convert::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

/// Median time of encoding and of decoding what `code` returns, in microseconds.
fn measure(name: &str, code: &str, rounds: usize) {
    let (sender, receiver) = (State::new(), State::new());
    let count = sender.run(code, 0);
    let mut target = vec![0u8; 64 << 20];
    let (mut encoding, mut decoding) = (Vec::new(), Vec::new());
    let mut len = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        // SAFETY: the values are on the stack and the target is large enough.
        unsafe {
            let first = sender.top() - count + 1;
            len = encode(sender.0, first, count, &EncodeOptions::default(), &mut NoHandles, |m| {
                m.write_to(target.as_mut_ptr());
                m.len()
            })
            .unwrap();
        }
        encoding.push(start.elapsed());
        let start = Instant::now();
        receiver.decode(&target[..len], &DecodeOptions::TRUSTED).unwrap();
        decoding.push(start.elapsed());
        // SAFETY: drops the values; large ones are freed here, so that this is not measured.
        unsafe {
            lua_settop(receiver.0, 0);
            if len > 10_000 {
                lua_gc(receiver.0, LUA_GCCOLLECT, 0);
            }
        }
    }
    encoding.sort();
    decoding.sort();
    println!(
        "{name}: {len} bytes, encode {:?} (least {:?}), decode {:?} (least {:?})",
        encoding[rounds / 2],
        encoding[0],
        decoding[rounds / 2],
        decoding[0]
    );
}

#[test]
#[ignore = "measures"]
fn speed() {
    if let Ok(code) = std::env::var("CODEC_SPEED") {
        return measure("given", &code, 101);
    }
    measure("integer", "return 1", 20_000);
    measure("string", "return 'hello world'", 20_000);
    measure("function", "return function() return 1 end", 20_000);
    measure(
        "function with globals",
        "return function(a) print(string.format('%d', a)) return helper end",
        20_000,
    );
    measure("small table", "return {x = 1, y = 2, 'a', 'b'}", 20_000);
    measure("100000 rows", "local t = {} for i = 1, 100000 do t[i] = {i, tostring(i)} end return t", 41);
    measure(
        "100000 records",
        "local t = {} for i = 1, 100000 do t[i] = {id = i, description = 'text number ' .. i} end return t",
        41,
    );
    measure("1000000 integers", "local t = {} for i = 1, 1000000 do t[i] = i end return t", 21);
    measure(
        "10000 closures",
        "local t = {} for i = 1, 10000 do t[i] = function() return i end end return t",
        41,
    );
    measure("16 MiB string", "return string.rep('x', 16 << 20)", 41);
}
