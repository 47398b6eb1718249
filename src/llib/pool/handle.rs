//! The pool object's contents.

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

use llib_lua::ffi::*;

use crate::deliver::{LOST, STOPPED, deliver};
use crate::session;
use crate::task::Facts;
use llib_host::pool::Pool;
use llib_lua::call::{Raise, bytes, push_description, push_text};
use llib_lua::convert::{EncodeOptions, GlobalMode, Roots};
use llib_lua::userdata::{self, Userdata};

/// The userdata's contents.
pub(super) struct Handle {
    /// The pool; after those that it has succeeded to, where the program had other privileges.
    pub(super) pools: RefCell<Vec<Rc<RefCell<Pool>>>>,
    /// The name of each job, if they have one.
    pub(super) name: Option<Rc<str>>,
    /// What holds for each job.
    pub(super) facts: Facts,
    pub(super) globals: GlobalMode,
    pub(super) extra_globals: Vec<Vec<u8>>,
}

impl Userdata for Handle {
    const NAME: &CStr = c"llib.pool";
}

impl Handle {
    /// The pool that takes jobs.
    pub(super) fn pool(&self) -> Rc<RefCell<Pool>> {
        let mut pools = self.pools.borrow_mut();
        loop {
            let last =
                pools.last().map(Rc::clone).unwrap_or_else(|| unreachable!("there is one from the start"));
            let successor = last.borrow().successor();
            match successor {
                Some(next) => pools.push(next),
                None => return last,
            }
        }
    }

    /// The same, for a job that comes now: after a look whether the program still has the privileges that the pool's workers
    /// have, a millisecond ago at most. Raises an error unless it takes jobs.
    ///
    /// # Safety
    /// As for [`Handle::check_serving`].
    pub(super) unsafe fn serving(&self, lua: *mut lua_State) -> Result<(), Raise> {
        // SAFETY: as demanded.
        unsafe {
            self.check_serving(lua)?;
            if session::is_due() {
                session::session(lua)?;
                self.pool().borrow_mut().succeed_if_due();
                self.check_serving(lua)?;
            }
        }
        Ok(())
    }

    /// How jobs are encoded.
    pub(super) fn encoding(&self) -> EncodeOptions<'_> {
        EncodeOptions {
            roots: Roots::Job,
            globals: self.globals,
            extra_globals: &self.extra_globals,
            ..EncodeOptions::default()
        }
    }

    /// What holds for a job of this name.
    pub(super) fn facts(&self, name: Rc<str>) -> Facts {
        Facts { name, ..self.facts.clone() }
    }

    /// Raises an error if the pool is that of a process from which this one was forked.
    pub(super) fn check_ours(&self) -> Result<(), Raise> {
        if self.pool().borrow().is_ours() {
            return Ok(());
        }
        Err(Raise::Message("the pool belongs to the process that this one was forked from".to_owned()))
    }

    /// Raises an error unless the pool takes jobs.
    ///
    /// # Safety
    /// `lua` is a valid state with ten free stack slots, in a protected call. Where this is an error nothing stays above
    /// index 1.
    unsafe fn check_serving(&self, lua: *mut lua_State) -> Result<(), Raise> {
        let stopper = {
            let pool = self.pool();
            let pool = pool.borrow();
            if pool.is_open() && !pool.is_lost() {
                return Ok(());
            }
            self.check_ours()?;
            if pool.is_lost() {
                return Err(Raise::Message(format!("the pool is lost: {LOST}")));
            }
            pool.stopper()
        };
        let Some((worker, settled)) = stopper else {
            return Err(Raise::Message("the pool is closed".to_owned()));
        };
        // SAFETY: as demanded.
        unsafe {
            lua_settop(lua, 1);
            deliver(lua, &self.facts, &*worker, settled)?;
            push_text(lua, STOPPED);
            push_description(lua, -2);
            lua_concat(lua, 2);
            let message = bytes(lua, -1).map(|text| String::from_utf8_lossy(text).into_owned());
            Err(Raise::Message(message.unwrap_or_default()))
        }
    }
}

/// The pool at index 1.
///
/// # Safety
/// As for [`userdata::check`].
pub(super) unsafe fn check<'a>(lua: *mut lua_State) -> Result<&'a Handle, Raise> {
    // SAFETY: as demanded.
    unsafe { userdata::check(lua, 1) }
}
