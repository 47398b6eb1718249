-- Tries to have the host call a function of the job's making.
-- must: values inert function from a sandboxed job

return function() while true do end end
