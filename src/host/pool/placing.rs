//! Which job is in which slot: putting jobs into them, and taking results out that stand in the way of others.

use std::sync::atomic::Ordering;

use super::state::{Pool, Record, Stage, Ticket, slots};
use crate::traced::Traced;
use llib_core::shared::{Object, retain};
use llib_core::shm::{Payload, Region, RegionError, Word, carries, is_large, slot_capacity, stage};
use llib_core::sys::clock;

impl Pool {
    /// Queues a job, whose payload ends with the ids of `objects` if there are any.
    pub(super) fn submit(
        &mut self,
        payload: &dyn Payload,
        objects: &[&Object],
        roomy: bool,
    ) -> Result<Ticket, RegionError> {
        let roomy = roomy || self.long_results > 0;
        if self.backlog.is_empty() {
            if self.free[usize::from(roomy)].is_empty() {
                self.attend();
            }
            let wants_large = payload.len() > slot_capacity(false) || roomy;
            if let Some(index) = self.free_slot(wants_large)? {
                let ticket = self.new_record(objects);
                if let Err(error) = self.write(ticket, index, payload) {
                    self.give_slot(index);
                    self.forget(ticket);
                    return Err(error);
                }
                objects.iter().for_each(|object| retain(object));
                self.begin_line(ticket);
                self.enqueue(ticket, index);
                return Ok(ticket);
            }
        }
        let bytes = payload.to_vec();
        let ticket = self.new_record(objects);
        objects.iter().for_each(|object| retain(object));
        self.records[ticket].stage = Stage::Backlog(bytes);
        self.begin_line(ticket);
        self.backlog.push_back(ticket);
        self.attend();
        Ok(ticket)
    }

    fn new_record(&mut self, objects: &[&Object]) -> Ticket {
        self.next += 1;
        let record = Record {
            number: self.next,
            stage: Stage::Vacant,
            ids: objects.iter().map(|object| object.id()).collect(),
            generation: self.generation,
            submitted: clock::now(),
            ended: 0,
            took: 0,
            pid: 0,
            detached: false,
            traced: Traced::default(),
            watch: None,
        };
        match self.vacant.pop() {
            Some(ticket) => {
                self.records[ticket] = record;
                ticket
            }
            None => {
                self.records.push(record);
                self.records.len() - 1
            }
        }
    }

    /// Begins a job's line in the timeline.
    fn begin_line(&mut self, ticket: Ticket) {
        let record = &mut self.records[ticket];
        record.traced = Traced::begin_pooled(self.number, record.number, record.submitted);
    }

    /// A free slot of this size, or of the other if that does.
    fn free_slot(&mut self, large: bool) -> Result<Option<u32>, RegionError> {
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

    fn give_slot(&mut self, index: u32) {
        self.by_slot[index as usize] = None;
        self.free[usize::from(is_large(index))].push(index);
    }

    fn write(&mut self, ticket: Ticket, index: u32, payload: &dyn Payload) -> Result<(), RegionError> {
        let record = &self.records[ticket];
        let slot = self.slot(index);
        let carried = if record.ids.is_empty() { carries::NONE } else { carries::JOB };
        let len = payload.len();
        if len <= slot.capacity() {
            slot.write(payload);
        } else {
            // From here on the worker reads and removes it.
            Region::write_new(&self.memory.job_name(record.number), payload)?;
        }
        slot.prepare(len, carried, record.generation);
        Ok(())
    }

    fn enqueue(&mut self, ticket: Ticket, index: u32) {
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
    fn harvest(&mut self) {
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
    fn note_order(&mut self, index: u32) {
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
