-- Tries to switch off the collector, so that garbage fills the heap; it collects when there is no more room.
-- must: cpu or memory

collectgarbage("stop")
while true do local _ = ("x"):rep(10000) end
