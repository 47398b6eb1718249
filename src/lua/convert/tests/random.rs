//! Random graphs of values: what arrives is the same graph.

use proptest::prelude::*;

use super::*;

/// A step that builds a part of the graph, as a statement of Lua. `n` is a table of all tables and
/// functions so far; `v(x)` picks a value by number, a table for every other number.
pub(super) fn step() -> impl Strategy<Value = String> {
    let value = (0u32..1000).prop_map(|x| format!("v({x})"));
    let scalar = prop_oneof![
        any::<i64>().prop_map(|i| format!(
            "({})",
            if i == i64::MIN { "-9223372036854775807 - 1".into() } else { i.to_string() }
        )),
        any::<f64>().prop_filter("a key", |f| f.is_finite()).prop_map(|f| format!("({f:e})")),
        any::<bool>().prop_map(|b| b.to_string()),
        "[a-z]{0,14}".prop_map(|s| format!("'{s}'")),
        (0usize..60).prop_map(|n| format!("string.rep('\\0\\200', {n})")),
        Just("print".to_owned()),
        Just("string".to_owned()),
        Just("_G".to_owned()),
    ];
    let any_value = prop_oneof![value.clone(), scalar];
    prop_oneof![
        Just("add{}".to_owned()),
        (any_value.clone(), any_value.clone(), any_value.clone())
            .prop_map(|(a, b, c)| format!("add{{{a}, {b}, {c}}}")),
        (any_value.clone(), any_value.clone())
            .prop_map(|(a, b)| format!("add{{nil, {a}, x = {b}, nil, {b}}}")),
        (value.clone(), any_value.clone(), any_value.clone())
            .prop_map(|(t, k, x)| format!("put({t}, {k}, {x})")),
        (value.clone(), value.clone()).prop_map(|(t, m)| format!("meta({t}, {m})")),
        (any_value.clone(), any_value.clone()).prop_map(|(a, b)| format!(
            "do local a, b = {a}, {b} add(function() return a, b end) add(function(x) b = x end) end"
        )),
        any_value.prop_map(|a| format!("do local f, a f = function() return f, a end a = {a} add(f) end")),
    ]
}

pub(super) const BUILD: &str = "
local n = {{}}
local function add(x) n[#n + 1] = x end
local function v(x) return n[x % #n + 1] end
local function put(t, k, x) if type(t) == 'table' then t[k] = x end end
local function meta(t, m) if type(t) == 'table' and type(m) == 'table' and m.__metatable == nil then setmetatable(t, m) end end
";

/// Describes a graph: a number for each object in the order in which a fixed walk meets it. Two graphs are
/// the same exactly if their descriptions are. Pairs whose keys are objects come in the order of their
/// descriptions, which is no order where these are equal: the walk looks only at keys that are scalars, and
/// at the number of the others.
const DESCRIBE: &str = "
local function describe(...)
    local out, seen, count, todo = {}, {}, 0, {}
    local function scalar(x)
        local t = type(x)
        if t == 'number' then return math.type(x) .. string.format(math.maxinteger and math.type(x) == 'integer' and '%d' or '%.17g', x) end
        if t == 'string' then return string.format('%q', x) end
        if t == 'boolean' or t == 'nil' then return tostring(x) end
        if x == print then return '<print>' elseif x == string then return '<string>' elseif x == _G then return '<G>' end
    end
    local function ref(x)
        local s = scalar(x)
        if s then return s end
        if not seen[x] then count = count + 1 seen[x] = count todo[#todo + 1] = x end
        return type(x) .. '#' .. seen[x]
    end
    local roots = {n = select('#', ...), ...}
    for i = 1, roots.n do out[#out + 1] = ref(roots[i]) end
    local at = 1
    while todo[at] do
        local x = todo[at] at = at + 1
        out[#out + 1] = '[' .. seen[x]
        if type(x) == 'table' then
            local keys, objects = {}, 0
            for k in next, x do
                local s = scalar(k)
                if s then keys[#keys + 1] = {s, k} else objects = objects + 1 end
            end
            table.sort(keys, function(a, b) return a[1] < b[1] end)
            for _, k in ipairs(keys) do out[#out + 1] = k[1] .. '=' .. ref(rawget(x, k[2])) end
            out[#out + 1] = 'objects ' .. objects
            local known = {}
            for k, value in next, x do
                if seen[k] then known[#known + 1] = {seen[k], value} end
            end
            table.sort(known, function(a, b) return a[1] < b[1] end)
            for _, k in ipairs(known) do out[#out + 1] = '#' .. k[1] .. '=' .. ref(k[2]) end
            local mt = debug.getmetatable(x)
            if mt then out[#out + 1] = 'meta ' .. ref(mt) end
        else
            for i = 1, 255 do
                local name, value = debug.getupvalue(x, i)
                if not name then break end
                local id = debug.upvalueid(x, i)
                if not seen[id] then count = count + 1 seen[id] = count end
                out[#out + 1] = name .. ' cell' .. seen[id] .. '=' .. ref(value)
            end
        end
        out[#out + 1] = ']'
    end
    return table.concat(out, ' ')
end
return describe(...)
";

pub(super) fn description(state: &State, count: c_int) -> String {
    state.run(DESCRIBE, count);
    // SAFETY: the result is a string on top.
    unsafe {
        let text = super::super::protect::text(state.0, -1);
        lua_settop(state.0, -2);
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_arrive_as_they_are(steps in prop::collection::vec(step(), 0..40)) {
        let (sender, receiver) = (State::new(), State::new());
        let code = format!("{BUILD}{}\nreturn n, n[#n], n[1]", steps.join("\n"));
        prop_assert_eq!(sender.run(&code, 0), 3);
        // SAFETY: copies the three values, since encoding pops them.
        unsafe { (0..3).for_each(|_| lua_pushvalue(sender.0, 1 + sender.top() - 1 - 2)) };
        let options = EncodeOptions { globals: GlobalMode::None, ..EncodeOptions::default() };
        let bytes = sender.encode(3, &options).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let count = receiver.decode(&bytes, &DecodeOptions::TRUSTED).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(count, 3);
        prop_assert_eq!(description(&sender, 3), description(&receiver, 3));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_decode(&bytes);
        let mut framed = ((bytes.len() + 8) as u64) << 8 | 1;
        let mut message = Vec::new();
        for _ in 0..8 { message.push(framed as u8); framed >>= 8; }
        message.extend(bytes);
        fuzz_decode(&message);
    }
}
