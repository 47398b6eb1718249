-- Tries to catch what ends the job.
-- must: values contained

local res = ...
pcall(function() pcall(res, "contained") end)
while true do end
