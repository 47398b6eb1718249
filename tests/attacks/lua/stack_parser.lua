-- Tries to use up the stack of C in the compiler.
-- must: values contained
-- with: { cpu = 2000 }

for _, piece in ipairs { "(", "{", "function() ", "do ", "not ", "a.b[", "- " } do
  local f, problem = (loadstring or load)("return " .. piece:rep(200000))
  assert(not f and problem)
end
return "contained"
