//! Which job is in which slot: putting jobs into them, and taking results out that stand in the way of others.

use std::sync::atomic::Ordering;

use super::{Pool, Stage, Ticket, slots};
use llib_core::shm::{Payload, PoolSlot, Region, RegionError, Word, carries, is_large, slot_capacity, stage};

impl Pool {
    /// A free slot of this size, or of the other if that does.
    pub(super) fn free_slot(&mut self, large: bool) -> Result<Option<u32>, RegionError> {
        let index = match self.free[usize::from(large)].pop() {
            Some(index) => index,
            // Long payloads can lie apart.
            None if large => match self.free[0].pop() {
                Some(index) => index,
                None => return Ok(None),
            },
            None => match self.free[1].pop() {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        if !std::mem::replace(&mut self.reserved[index as usize], true)
            && let Err(error) = self.memory.reserve_slot(index)
        {
            self.reserved[index as usize] = false;
            self.give_slot(index);
            return Err(error);
        }
        Ok(Some(index))
    }

    pub(super) fn give_slot(&mut self, index: u32) {
        self.by_slot[index as usize] = None;
        self.free[usize::from(is_large(index))].push(index);
    }

    pub(super) fn slot(&self, index: u32) -> PoolSlot<'_> {
        self.memory.slot(index).unwrap_or_else(|| unreachable!("slot {index} is one of the pool's"))
    }

    pub(super) fn write(
        &mut self,
        ticket: Ticket,
        index: u32,
        payload: &dyn Payload,
    ) -> Result<(), RegionError> {
        let record = &self.records[ticket];
        let slot = self.slot(index);
        let carried = if record.ids.is_empty() { carries::NONE } else { carries::JOB };
        let len = payload.len();
        if len <= slot.capacity() {
            slot.fill(len, |bytes| payload.write_to(bytes));
        } else {
            // From here on the worker reads and removes it.
            Region::write_new(&self.memory.job_name(record.number), &payload.parts())?;
        }
        slot.prepare(len, carried);
        Ok(())
    }

    pub(super) fn enqueue(&mut self, ticket: Ticket, index: u32) {
        self.by_slot[index as usize] = Some(ticket);
        self.note_order(index);
        if self.records[ticket].watch.is_some() {
            self.slot(index).notify().store(1, Ordering::SeqCst);
        }
        let record = &mut self.records[ticket];
        record.stage = Stage::Slot(index);
        // There are more entries than slots, and what was given up is passed over by the first who looks.
        while !self.memory.push(index, record.number) {
            self.memory.wake_workers();
            std::thread::yield_now();
        }
        self.memory.wake_for_work();
    }

    /// Puts jobs that wait here into slots, as far as there are some.
    pub(super) fn place_backlog(&mut self) {
        self.harvest();
        while let Some(&ticket) = self.backlog.front() {
            let Stage::Backlog(bytes) = &mut self.records[ticket].stage else {
                // Given up.
                self.backlog.pop_front();
                continue;
            };
            let bytes = std::mem::take(bytes);
            let large = bytes.len() > slot_capacity(false) || self.long_results > 0;
            let placed = match self.free_slot(large) {
                Ok(Some(index)) => self
                    .write(ticket, index, &&bytes[..])
                    .map(|()| index)
                    .inspect_err(|_| {
                        self.give_slot(index);
                    })
                    .ok(),
                // Without room in shared memory it waits until there is some.
                Ok(None) | Err(_) => None,
            };
            let Some(index) = placed else {
                self.records[ticket].stage = Stage::Backlog(bytes);
                return;
            };
            self.backlog.pop_front();
            self.enqueue(ticket, index);
        }
    }

    /// Copies results out of slots, some at a time.
    pub(super) fn harvest(&mut self) {
        const SOME: usize = 32;
        for _ in 0..self.order.len().min(SOME) {
            let Some(index) = self.order.pop_front() else { break };
            let Some(ticket) = self.by_slot[index as usize] else { continue };
            if !matches!(self.records[ticket].stage, Stage::Slot(at) if at == index) {
                continue;
            }
            if self.is_done(ticket, index) {
                self.take_out(ticket, index);
            } else {
                self.order.push_back(index);
            }
        }
    }

    /// Notes a slot as the one that will be done last. Slots whose results are taken by `await` stay in the order until
    /// there are too many of them: only the last entry of a slot in use says anything.
    pub(super) fn note_order(&mut self, index: u32) {
        self.order.push_back(index);
        if self.order.len() > 2 * slots() {
            let mut wanted: Vec<bool> = self.by_slot.iter().map(Option::is_some).collect();
            let last = |index: &u32| std::mem::take(&mut wanted[*index as usize]);
            let newest_first: Vec<u32> = self.order.drain(..).rev().filter(last).collect();
            self.order.extend(newest_first.into_iter().rev());
        }
    }

    /// Frees a slot whose job is over.
    pub(super) fn free_used(&mut self, index: u32) {
        let slot = self.slot(index);
        slot.set(Word { stage: stage::FREE, ..slot.word() });
        self.give_slot(index);
    }
}
