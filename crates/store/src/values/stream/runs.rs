//! Things with ids, in order: a vector in runs, so that no change moves more than a run.

use std::collections::VecDeque;

use super::StreamId;

/// The most elements of a run.
const RUN: usize = 128;

/// What stands in the order of stream ids.
pub(super) trait Identified {
    fn id(&self) -> StreamId;
}

impl Identified for StreamId {
    fn id(&self) -> StreamId {
        *self
    }
}

/// Elements with different ids, ascending. A few are one vector, more of them a queue of vectors.
#[derive(Clone, Debug)]
pub(super) struct Runs<T>(Form<T>);

#[derive(Clone, Debug)]
enum Form<T> {
    Small(Vec<T>),
    Large(Box<Large<T>>),
}

#[derive(Debug)]
struct Large<T> {
    /// None of them empty.
    runs: VecDeque<Vec<T>>,
    len: usize,
    /// What the runs have room for.
    slots: usize,
}

impl<T: Clone> Clone for Large<T> {
    fn clone(&self) -> Self {
        let runs = self.runs.clone();
        Large {
            slots: runs.iter().map(Vec::capacity).sum(),
            len: self.len,
            runs,
        }
    }
}

/// Where an element stands, until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    run: usize,
    at: usize,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Runs(Form::Small(Vec::new()))
    }
}

/// Adds an element, growing by half and not at once to four, as small ones are many.
fn put<T>(run: &mut Vec<T>, at: usize, item: T) {
    if run.len() == run.capacity() {
        run.reserve_exact((run.len() / 2).clamp(1, RUN));
    }
    run.insert(at, item);
}

fn shrink<T>(run: &mut Vec<T>) {
    if run.len() * 4 < run.capacity() {
        run.shrink_to(run.len() * 2);
    }
}

impl<T: Identified> Runs<T> {
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Form::Small(run) => run.len(),
            Form::Large(large) => large.len,
        }
    }

    /// Bytes allocated for the elements themselves.
    pub(super) fn heap_size(&self) -> usize {
        match &self.0 {
            Form::Small(run) => run.capacity() * size_of::<T>(),
            Form::Large(large) => {
                size_of::<Large<T>>()
                    + large.runs.capacity() * size_of::<Vec<T>>()
                    + large.slots * size_of::<T>()
            }
        }
    }

    fn run(&self, index: usize) -> &[T] {
        match &self.0 {
            Form::Small(run) if index == 0 => run,
            Form::Small(_) => &[],
            Form::Large(large) => large.runs.get(index).map_or(&[], Vec::as_slice),
        }
    }

    fn run_count(&self) -> usize {
        match &self.0 {
            Form::Small(_) => 1,
            Form::Large(large) => large.runs.len(),
        }
    }

    /// The last run whose first element is not behind `id`; the first one where all are.
    fn run_of(&self, id: StreamId) -> usize {
        match &self.0 {
            Form::Small(_) => 0,
            Form::Large(large) => large
                .runs
                .partition_point(|run| run[0].id() <= id)
                .saturating_sub(1),
        }
    }

    /// The first place.
    pub(super) fn start(&self) -> Place {
        Place { run: 0, at: 0 }
    }

    /// The place of the last element, if there is any.
    pub(super) fn last_place(&self) -> Option<Place> {
        let run = self.run_count() - 1;
        let at = self.run(run).len().checked_sub(1)?;
        Some(Place { run, at })
    }

    /// The place of the first element that is not before `id`; behind the last where there is none.
    pub(super) fn lower_bound(&self, id: StreamId) -> Place {
        let run = self.run_of(id);
        let items = self.run(run);
        let at = items.partition_point(|item| item.id() < id);
        if at == items.len() && run + 1 < self.run_count() {
            return Place {
                run: run + 1,
                at: 0,
            };
        }
        Place { run, at }
    }

    /// The place of the last element that is not behind `id`.
    pub(super) fn floor(&self, id: StreamId) -> Option<Place> {
        let run = self.run_of(id);
        let at = self
            .run(run)
            .partition_point(|item| item.id() <= id)
            .checked_sub(1)?;
        Some(Place { run, at })
    }

    /// The place of the element with exactly this id.
    pub(super) fn find(&self, id: StreamId) -> Option<Place> {
        let run = self.run_of(id);
        let at = self
            .run(run)
            .binary_search_by_key(&id, Identified::id)
            .ok()?;
        Some(Place { run, at })
    }

    /// The element there, if any.
    pub(super) fn get(&self, place: Place) -> Option<&T> {
        self.run(place.run).get(place.at)
    }

    /// The element there, if any. Its id must stay.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        match &mut self.0 {
            Form::Small(run) if place.run == 0 => run.get_mut(place.at),
            Form::Small(_) => None,
            Form::Large(large) => large.runs.get_mut(place.run)?.get_mut(place.at),
        }
    }

    /// The last element.
    pub(super) fn last(&self) -> Option<&T> {
        self.get(self.last_place()?)
    }

    /// The place behind `place`.
    pub(super) fn next(&self, place: Place) -> Place {
        let at = place.at + 1;
        if at >= self.run(place.run).len() && place.run + 1 < self.run_count() {
            return Place {
                run: place.run + 1,
                at: 0,
            };
        }
        Place { at, ..place }
    }

    /// The place before `place`.
    pub(super) fn previous(&self, place: Place) -> Option<Place> {
        match place.at.checked_sub(1) {
            Some(at) => Some(Place { at, ..place }),
            None => {
                let run = place.run.checked_sub(1)?;
                let at = self.run(run).len() - 1;
                Some(Place { run, at })
            }
        }
    }

    /// The elements from `place` on.
    pub(super) fn iter_from(&self, place: Place) -> impl Iterator<Item = &T> {
        let first = self.run(place.run).get(place.at..).unwrap_or(&[]);
        let rest = (place.run + 1..self.run_count()).flat_map(|run| self.run(run));
        first.iter().chain(rest)
    }

    /// All elements.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(self.start())
    }

    /// Puts an element where it belongs. None with its id may be there.
    pub(super) fn insert(&mut self, item: T) {
        let append = self.last().is_none_or(|last| last.id() < item.id());
        let run = if append {
            self.run_count() - 1
        } else {
            self.run_of(item.id())
        };
        let at = self
            .run(run)
            .partition_point(|other| other.id() < item.id());
        if let Form::Small(only) = &mut self.0 {
            if only.len() < RUN {
                return put(only, at, item);
            }
            let only = std::mem::take(only);
            let mut runs = VecDeque::with_capacity(2);
            let slots = only.capacity();
            let len = only.len();
            runs.push_back(only);
            self.0 = Form::Large(Box::new(Large { runs, len, slots }));
        }
        if let Form::Large(large) = &mut self.0 {
            large.insert(run, at, item);
        }
    }

    /// Takes out the element at `place`, which is there.
    pub(super) fn remove(&mut self, place: Place) -> T {
        let item = match &mut self.0 {
            Form::Small(run) => {
                let item = run.remove(place.at);
                shrink(run);
                item
            }
            Form::Large(large) => large.remove(place),
        };
        self.settle();
        item
    }

    /// Keeps the elements for which `keep` holds: one pass over all.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        match &mut self.0 {
            Form::Small(run) => {
                run.retain(keep);
                shrink(run);
            }
            Form::Large(large) => {
                for run in &mut large.runs {
                    run.retain(&mut keep);
                    shrink(run);
                }
                large.runs.retain(|run| !run.is_empty());
                large.len = large.runs.iter().map(Vec::len).sum();
                large.slots = large.runs.iter().map(Vec::capacity).sum();
            }
        }
        self.settle();
    }

    /// Goes back to the small form where at most one run is left.
    fn settle(&mut self) {
        if let Form::Large(large) = &mut self.0
            && large.runs.len() <= 1
        {
            self.0 = Form::Small(large.runs.pop_back().unwrap_or_default());
        }
    }

    /// Drops the last run, giving it to `visit`; how many elements it had.
    pub(super) fn pop_run(&mut self, visit: impl FnOnce(&[T])) -> usize {
        let run = match &mut self.0 {
            Form::Small(run) => std::mem::take(run),
            Form::Large(large) => large.take_run(large.runs.len() - 1),
        };
        self.settle();
        visit(&run);
        run.len()
    }
}

impl<T: Identified> Large<T> {
    /// Changes a run and keeps the sums true.
    fn change<R>(&mut self, run: usize, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let run = &mut self.runs[run];
        let (len, slots) = (run.len(), run.capacity());
        let result = change(run);
        self.len = self.len - len + run.len();
        self.slots = self.slots - slots + run.capacity();
        result
    }

    fn insert_run(&mut self, at: usize, run: Vec<T>) {
        self.len += run.len();
        self.slots += run.capacity();
        self.runs.insert(at, run);
    }

    fn take_run(&mut self, at: usize) -> Vec<T> {
        let run = self.runs.remove(at).expect("there is a run at `at`");
        self.len -= run.len();
        self.slots -= run.capacity();
        if self.runs.len() * 4 < self.runs.capacity() {
            self.runs.shrink_to(self.runs.len() * 2);
        }
        run
    }

    fn insert(&mut self, run: usize, at: usize, item: T) {
        if self.runs[run].len() < RUN {
            return self.change(run, |run| put(run, at, item));
        }
        // What comes in order fills the runs; what comes between halves one.
        let split = if run + 1 == self.runs.len() && at == RUN {
            RUN
        } else {
            RUN / 2
        };
        let mut tail = self.change(run, |run| {
            let tail = run.split_off(split);
            run.shrink_to_fit();
            tail
        });
        if at > split || split == RUN {
            put(&mut tail, at - split, item);
        } else {
            self.change(run, |run| put(run, at, item));
        }
        self.insert_run(run + 1, tail);
    }

    fn remove(&mut self, place: Place) -> T {
        let item = self.change(place.run, |run| {
            let item = run.remove(place.at);
            shrink(run);
            item
        });
        if self.runs[place.run].is_empty() {
            self.take_run(place.run);
        } else {
            self.join(place.run);
            if place.run > 0 {
                self.join(place.run - 1);
            }
        }
        item
    }

    /// Joins a run with the next one where both together fill half a run at most.
    fn join(&mut self, run: usize) {
        let Some(next) = self.runs.get(run + 1) else {
            return;
        };
        if self.runs[run].len() + next.len() <= RUN / 2 {
            let next = self.take_run(run + 1);
            self.change(run, |run| run.extend(next));
        }
    }
}

#[cfg(test)]
impl<T: Identified> Runs<T> {
    /// Checks the order and the sums.
    pub(super) fn audit(&self) {
        assert!(self.iter().map(Identified::id).is_sorted_by(|a, b| a < b));
        assert_eq!(self.iter().count(), self.len());
        if let Form::Large(large) = &self.0 {
            assert!(large.runs.len() > 1);
            assert!(
                large
                    .runs
                    .iter()
                    .all(|run| !run.is_empty() && run.len() <= RUN)
            );
            assert_eq!(
                large.slots,
                large.runs.iter().map(Vec::capacity).sum::<usize>()
            );
        }
    }
}
