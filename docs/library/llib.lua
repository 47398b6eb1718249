---@meta llib

-- Annotations for editors (LuaCATS): completion, hover texts and checks for `require "llib"`. Nothing here runs.
-- With lua-language-server: add this folder to `workspace.library`. The tests hold this file to the real module.

--- Lua functions in worker processes: in parallel, with limits, killable.
---@class llib
---@field _VERSION string
local llib = {}

--- Whether a value is a failure that llib made in this state; nothing that a job returns is.
---@param x any
---@return boolean
function llib.failure(x) end

--- Jobs, and what they share. Times are milliseconds; nil is for ever. Sizes are bytes or texts such as `"64M"`.
---@class llib.thread
local thread = {}
llib.thread = thread

--- Hashes. Each function gives the digest of a text at once, or without one a hash object.
---@class llib.crypto
local crypto = {}
llib.crypto = crypto

--- A size in bytes, or a text with a unit: `"64K"`, `"16M"`, `"1G"`.
---@alias llib.size integer | string

--- Why there are no values.
---@alias llib.kind
---| "error"    # an uncaught error
---| "rejected" # `rej` was called
---| "timeout"  # this call's own time; the job may be fine
---| "busy"     # another process was in the middle of it; try again
---| "deadline" # the job's `timeout`
---| "cpu"      # the job's `cpu`
---| "memory"   # no memory left, within `memory` or at all
---| "killed"   # by `task:kill`
---| "closed"   # by `task:close`
---| "signal"   # it died of a signal that nobody here sent
---| "exit"     # it ended by itself without a result
---| "denied"   # killed by its sandbox for a system call
---| "encode"   # its result could not be copied
---| "lost"     # the supervisors died, or could not start a process

--- What comes second after nil. `tostring` gives `kind: message`.
---@class llib.failure
---@field kind llib.kind
---@field message string
---@field name? string the job's name
---@field pid? integer the job's process
---@field usage? llib.usage what the job has used
---@field traceback? string the worker's, with the script's own file and line
---@field value? any what was passed to `error`, or first to `rej`
---@field syntax? boolean whether the job is source text that cannot be compiled
---@field value_reason? string why there is no value though something was passed: it cannot travel
---@field values? table all that was passed, with `n`
---@field signal? string of which it died, such as `"SEGV"`
---@field code? integer its exit code
---@field index? integer which item of a list `pool:map` failed at
---@field call? string the system call that was denied
---@field limit? number the limit that it passed: milliseconds or bytes
---@field output? { stdout: string?, stderr: string? } what was captured

--- What a job has used.
---@class llib.usage
---@field wall number milliseconds since its start
---@field user number milliseconds of CPU time in its own code
---@field system number milliseconds of CPU time in the kernel
---@field maxrss integer bytes of memory at most

--- Options of `async`.
---@class llib.options
---@field args? table further arguments of the function, with `n`, a whole number, if they may end in nils
---@field name? string shown in errors, by `tostring`, and in process lists
---@field timeout? number wall-clock limit in milliseconds; past it the job is killed, kind `deadline`
---@field cpu? number limit of CPU time in milliseconds; kind `cpu`
---@field memory? llib.size limit of Lua's heap; kind `memory` if uncaught
---@field files? integer descriptors that may be open at once
---@field fsize? llib.size how long a file it may write
---@field result_limit? llib.size how long the result may be as it travels; more is the failure `encode`
---@field stdout? "inherit" | "null" | "capture"
---@field stderr? "inherit" | "null" | "capture"
---@field capture_limit? llib.size bytes kept of each captured stream, 1 MiB unless given
---@field globals? "named" | "all" | "none" | string[] which globals travel; a table names further ones
---@field nice? integer scheduling priority, 0 to 19
---@field sandbox? boolean | llib.grants true lets it do nothing but compute; a table what else it may
---@field functions? boolean whether functions that come back from a sandbox are taken as code
---@field metatables? boolean whether tables that come back from a sandbox keep their metatables

--- Options of `preload`.
---@class llib.preload_options
---@field timeout? number how long each module may take in milliseconds, 30000 unless given

--- Options of `pool`. Those that `async` has too hold for each job.
---@class llib.pool_options
---@field size? integer workers, as many as there are processors unless given
---@field preload? string | string[] | fun() modules that are loaded, or a function that is run, before the first job
---@field max_jobs? integer after so many jobs a worker is replaced
---@field max_memory? llib.size a worker whose Lua heap has grown beyond it is replaced
---@field name? string shown in errors, by `tostring`, and in process lists
---@field timeout? number wall-clock limit of a job in milliseconds; kind `deadline`
---@field cpu? number limit of a job's CPU time in milliseconds; kind `cpu`
---@field memory? llib.size limit of a worker's Lua heap; kind `memory` if uncaught
---@field files? integer descriptors that may be open at once
---@field fsize? llib.size how long a file may get that a job writes
---@field result_limit? llib.size how long a result may be as it travels; more is the failure `encode`
---@field stdout? "inherit" | "null"
---@field stderr? "inherit" | "null"
---@field globals? "named" | "all" | "none" | string[] which globals travel; a table names further ones
---@field nice? integer scheduling priority, 0 to 19

--- Options of `pool:map`.
---@class llib.map_options
---@field chunk? integer items that a worker takes at once
---@field on_progress? fun(done: integer, total: integer) called now and then while it goes on

--- How a pool stands.
---@class llib.pool_stats
---@field size integer workers that it is to have
---@field workers integer workers that there are
---@field running integer jobs that are being run
---@field queued integer jobs that wait for a worker
---@field done integer jobs that gave their values
---@field failed integer jobs that failed
---@field died integer workers that died
---@field recycled integer workers that were replaced

--- What a sandbox lets its job do.
---@class llib.grants
---@field read? string[] paths of files, and directories with all below them, that it may read
---@field write? string[] paths that it may read, write, make, rename and remove
---@field env? string[] variables of the environment that it sees
---@field libs? string[] modules that it may `require`
---@field net? boolean TCP and UDP of the internet
---@field exec? boolean programs; a much weaker sandbox
---@field jobs? integer jobs in the same sandbox that it may have at once, 0 to 64; 4 where nothing else is given
---@field best_effort? boolean runs it also where the kernel cannot enforce everything

--- What is enforced of a sandbox.
---@class llib.enforced
---@field enforced boolean all of it
---@field seccomp boolean
---@field landlock integer | false its version
---@field no_new_privs boolean
---@field limits boolean
---@field environment boolean
---@field descriptors boolean
---@field language boolean
---@field missing string[] what is not, in sentences

--- What the running kernel can enforce.
---@class llib.capabilities
---@field sandbox boolean whether `sandbox = true` works
---@field kernel string its release
---@field proc boolean whether there is a `/proc` of the same PID namespace
---@field seccomp boolean
---@field landlock integer | false its version
---@field files boolean
---@field truncate boolean
---@field tcp boolean
---@field devices boolean
---@field scopes boolean
---@field no_new_privs boolean
---@field limits boolean
---@field missing string[] what it cannot, in sentences

--- In a job: sends the values and ends the job. Nothing after the call runs, not even inside a `pcall`.
---@class llib.res
---@field pid integer the worker process
---@field id integer the job's number
---@field name string the job's name
---@overload fun(...: any)
local res = {}

--- Ends the job here if `task:close` was called.
---@return false
function res:testclose() end

--- From here on `task:close` ends the job anywhere, also in a C function.
function res:autoclose() end

--- In a job: ends it as a failure of kind `rejected`.
---@alias llib.rej fun(...: any)

--- A job as its starter sees it.
---@class llib.task
local task = {}

--- Waits for the job's values, or nil and a failure. Then the task is cleaned, unless `keep` is true.
---@param ms? number how long to wait; past it nil and a failure of kind `timeout`
---@param keep? boolean true keeps the task also with a result, false ends it also without
---@return any ... the values; or nil and an `llib.failure`
function task:await(ms, keep) end

--- As `await`, but says first whether there are values: true and the values, or false and an `llib.failure`.
---@param ms? number how long to wait; past it false and a failure of kind `timeout`
---@param keep? boolean true keeps the task also with a result, false ends it also without
---@return boolean ok
---@return any ... the values; or an `llib.failure`
function task:result(ms, keep) end

--- Ends the job and frees everything; `await` raises from then on.
function task:clean() end

--- Sends a signal. After KILL nothing of the job runs when this returns.
---@param signal? string | integer `"KILL"` unless given
---@param grace? number milliseconds after which SIGKILL follows
function task:kill(signal, grace) end

--- Asks the job to end: at `res:testclose()`, anywhere after `res:autoclose()`, or in a call of llib that waits.
--- A paused job is resumed for that.
---@param grace? number milliseconds after which it is killed
function task:close(grace) end

--- How it stands, at once.
---@return "running" | "paused" | "done" | "failed" | "cleaned"
function task:status() end

--- Stops the process (SIGSTOP), once it holds no lock of anything shared.
---@return true? paused nil where it has held one for a second
---@return llib.failure? problem of kind `busy`
function task:pause() end

--- Lets a paused process go on (SIGCONT).
function task:resume() end

--- The worker process.
---@return integer? pid nil if there never was one
function task:pid() end

--- The job's number.
---@return integer
function task:id() end

--- The option `name`, or source and line of the function.
---@return string
function task:name() end

--- What the job has used so far.
---@return llib.usage
function task:usage() end

--- What was captured; nil for a stream that is not captured.
---@return string? stdout
---@return string? stderr
function task:output() end

--- What its sandbox enforces; nil without one.
---@return llib.enforced?
function task:sandbox() end

--- A descriptor that polls readable when `await(0)` would have an answer. `clean` closes it. Of a pool's task it also does when
--- the pool needs to be looked after: ask `status()`, and wait on if the task runs.
---@return integer
function task:getfd() end

--- Runs a function in a worker process and returns at once. It is called as `f(res, rej, args...)`.
---@param f fun(res: llib.res, rej: llib.rej, ...: any): ... | string a function, or Lua source
---@param opts? llib.options
---@return llib.task
function thread.async(f, opts) end

--- Waits. Ctrl-C interrupts it.
---@param ms number
function thread.sleep(ms) end

--- How many processors this process may use.
---@return integer
function thread.cores() end

--- In a worker its `res`, elsewhere nil.
---@return llib.res?
function thread.self() end

--- Ends the supervisors of this program's jobs, and with them the jobs that run, kind `lost`. The next job starts new ones.
function thread.close() end

--- What there is; an empty table before the first job.
---@return { jobs: integer?, spares: integer?, zygote: integer?, guard: integer? }
function thread.stats() end

--- What the running kernel can enforce of a sandbox.
---@return llib.capabilities
function thread.capabilities() end

--- Takes the lock of a number, which this process and all its jobs share.
---@param id integer
---@param ms? number how long to wait; 0 does not
---@return true? locked nil past `ms`
---@return "abandoned" | llib.failure | nil note whether its last owner died with it, or why there is no lock
function thread.lock(id, ms) end

--- Gives it back.
---@param id integer
function thread.unlock(id) end

--- Loads modules once, for all workers to come. One that fails raises, and is loaded nowhere.
---@param ... string | llib.preload_options names as for `require`; options last
function thread.preload(...) end

--- In a module that is being preloaded: has each worker that has it call a function before its job.
---@param f fun()
---@return boolean whether it will be called: false where nothing is preloaded
function thread.after_fork(f) end

--- Reads again what jobs inherit from this program: environment, umask, limits, streams. The next job has it.
function thread.refresh() end

--- Starts workers that run one job after the other, each as if its worker were new.
---@param opts? llib.pool_options
---@return llib.pool
function thread.pool(opts) end

--- One value in shared memory.
---@param value? any
---@return llib.buffer
function thread.buffer(value) end

--- A lock without a number.
---@return llib.mutex
function thread.mutex() end

--- A queue that many processes can push to and pop from.
---@param capacity? integer how many items at most; nil is any number
---@return llib.channel
function thread.channel(capacity) end

--- Workers that are used again. Going out of scope (`<close>`) closes it at once.
---@class llib.pool
local pool = {}

--- Hands a job to the next free worker and returns at once. It is called as `f(...)`.
---@param f fun(...: any): ... | string a function, or Lua source
---@param ... any
---@return llib.task task
function pool:submit(f, ...) end

--- Calls `f(item, index)` for each item of a list, in the workers.
---@param f fun(item: any, index: integer): any | string a function, or Lua source
---@param list any[]
---@param opts? llib.map_options
---@return any[]? results in the order of the list; nil if a call failed
---@return llib.failure? failure
function pool:map(f, list, opts) end

--- Takes no more jobs, and waits for those that it has.
---@param ms? number how long; past it what is left is killed, kind `closed`
---@return boolean finished whether all jobs came to their own end
function pool:close(ms) end

--- How it stands, at once.
---@return llib.pool_stats
function pool:stats() end

--- One value in shared memory, the same for all that have a handle. Fields, methods and operators act on it.
---@class llib.buffer
---@field [any] any
local buffer = {}

--- A copy of the value.
---@return any
function buffer:get() end

--- Replaces the value.
---@param value any
function buffer:set(value) end

--- Replaces the value by what `f` makes of a copy; nobody else reads or changes it meanwhile.
---@param f fun(value: any): ...any only no value at all leaves it as it is; nil is stored
---@return any value the new one
function buffer:mod(f) end

--- Drops this handle now.
function buffer:clean() end

--- A lock as an object.
---@class llib.mutex
local mutex = {}

--- Takes it. Its owner may take it again, and gives it back as often.
---@param ms? number how long to wait
---@return true? locked nil past `ms`
---@return "abandoned" | llib.failure | nil note whether its last owner died with it, or why there is no lock
function mutex:lock(ms) end

--- Takes it if that is possible at once.
---@return boolean locked
---@return "abandoned"? note whether its last owner died with it
function mutex:trylock() end

--- Gives it back.
function mutex:unlock() end

--- Calls `f(...)` with the mutex held, and gives it back whatever happens. `f` cannot yield.
---@generic T
---@param f fun(...: any): T...
---@param ... any
---@return T...
function mutex:with(f, ...) end

--- Drops this handle now.
function mutex:free() end

--- A queue: what goes in first comes out first, each item once.
---@class llib.channel
---@operator len: integer
local channel = {}

--- Puts an item in, once there is room.
---@param value any anything but nil
---@param ms? number how long to wait for room
---@return true? pushed
---@return "closed" | llib.failure | nil problem
function channel:push(value, ms) end

--- Takes the oldest item out, once there is one.
---@param ms? number how long to wait for one
---@return any item nil without one
---@return "closed" | llib.failure | nil problem
function channel:pop(ms) end

--- For `for value in channel:iter() do`: pops until the channel is closed and empty.
---@return fun(): any
function channel:iter() end

--- Lets nothing more in. What is there can be popped.
function channel:close() end

--- A hash in the making. It travels between processes mid-stream.
---@class llib.hash
---@operator add(string): llib.hash
local hash = {}

--- Adds a text.
---@param text string | number
---@return llib.hash self
function hash:update(text) end

--- The digest of everything so far, in hexadecimal digits; the object can go on.
---@return string
function hash:final() end

--- MD5, 16 bytes; no protection against those who want to find two texts with one digest.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.md5(text) end

--- SHA-1, 20 bytes; no protection against those who want to find two texts with one digest.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.sha1(text) end

--- SHA-224, 28 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.sha224(text) end

--- SHA-256, 32 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.sha256(text) end

--- SHA-384, 48 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.sha384(text) end

--- SHA-512, 64 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.sha512(text) end

--- BLAKE2b, 64 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.blake2b(text) end

--- BLAKE2s, 32 bytes.
---@param text string | number
---@return string digest
---@overload fun(): llib.hash
function crypto.blake2s(text) end

return llib
