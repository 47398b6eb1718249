//! The operators of the language, on values of the stack.

use std::borrow::Cow;

use super::ffi::*;

/// An operator. Versions without it never ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Unm,
    Idiv,
    Band,
    Bor,
    Bxor,
    Shl,
    Shr,
    Bnot,
    Eq,
    Lt,
    Le,
}

/// Puts the result of the operator with this number on top; the operands are at indices 1 and 2, for one operand twice the
/// same. Raises what the operator raises.
///
/// # Safety
/// `lua` is a valid state with these operands and four free slots, in a frame without destructors.
#[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
pub unsafe fn apply(lua: *mut lua_State, operator: usize) {
    const ARITHMETIC: [std::ffi::c_int; 14] = [
        LUA_OPADD, LUA_OPSUB, LUA_OPMUL, LUA_OPDIV, LUA_OPMOD, LUA_OPPOW, LUA_OPUNM, LUA_OPIDIV, LUA_OPBAND,
        LUA_OPBOR, LUA_OPBXOR, LUA_OPSHL, LUA_OPSHR, LUA_OPBNOT,
    ];
    const COMPARISON: [std::ffi::c_int; 3] = [LUA_OPEQ, LUA_OPLT, LUA_OPLE];
    // SAFETY: as demanded.
    unsafe {
        if let Some(code) = ARITHMETIC.get(operator) {
            let one = operator == Operator::Unm as usize || operator == Operator::Bnot as usize;
            lua_settop(lua, if one { 1 } else { 2 });
            lua_arith(lua, *code);
            return;
        }
        let code = COMPARISON.get(operator - ARITHMETIC.len()).copied().unwrap_or(LUA_OPEQ);
        let holds = lua_compare(lua, 1, 2, code);
        lua_pushboolean(lua, holds);
    }
}

/// The C API of these versions has no operators, so the language itself is asked.
///
/// # Safety
/// As above.
#[cfg(not(any(feature = "lua53", feature = "lua54", feature = "lua55")))]
pub unsafe fn apply(lua: *mut lua_State, operator: usize) {
    const SIGNS: [&str; 17] = [
        "a + b", "a - b", "a * b", "a / b", "a % b", "a ^ b", "-a", "a // b", "a & b", "a | b", "a ~ b",
        "a << b", "a >> b", "~a", "a == b", "a < b", "a <= b",
    ];
    const BEGINNING: &str = "local a, b = ... return ";
    let mut source = [0u8; 32];
    let sign = SIGNS.get(operator).copied().unwrap_or("nil").as_bytes();
    source[..BEGINNING.len()].copy_from_slice(BEGINNING.as_bytes());
    source[BEGINNING.len()..BEGINNING.len() + sign.len()].copy_from_slice(sign);
    // SAFETY: the caller's state; the source lives on this frame, which has no destructors.
    unsafe {
        let length = BEGINNING.len() + sign.len();
        let name = c"=operator".as_ptr();
        if luaL_loadbufferx(lua, source.as_ptr().cast(), length, name, std::ptr::null()) != LUA_OK {
            lua_error(lua);
        }
        lua_pushvalue(lua, 1);
        lua_pushvalue(lua, 2);
        lua_call(lua, 2, 1);
    }
}

/// The text of an error that Lua itself raised for an operator, without a position; `None` for any other.
pub fn message(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let modern = cfg!(any(feature = "lua53", feature = "lua54", feature = "lua55"));
    let text =
        if modern { text } else { Cow::Owned(nameless(text.strip_prefix("operator:1: ").unwrap_or(&text))) };
    (text.starts_with("attempt to ") || text.starts_with("number")).then(|| text.into_owned())
}

/// Without the names that [`apply`] gives to operands: `local 'a' (a nil value)` becomes `a nil value`.
fn nameless(text: &str) -> String {
    for name in ["local 'a' (", "local 'b' ("] {
        if let (Some((before, after)), true) = (text.split_once(name), text.ends_with(')')) {
            return format!("{before}{}", &after[..after.len() - 1]);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_operands_are_nobodys_business() {
        let text = "attempt to perform arithmetic on local 'b' (a nil value)";
        assert_eq!(nameless(text), "attempt to perform arithmetic on a nil value");
        assert_eq!(nameless("attempt to compare two table values"), "attempt to compare two table values");
        assert_eq!(message(b"script.lua:3: attempt to call"), None);
        assert_eq!(message(b"attempt to compare a with b").as_deref(), Some("attempt to compare a with b"));
    }
}
