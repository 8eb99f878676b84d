//! The agents without a conflict so far, by what a further one could be in conflict over.
//!
//! Of a thousand agents nearly every pair has nothing in common; to compare each would be most of
//! what it costs to read them.

use std::collections::{BTreeSet, HashMap};

use super::definition::{Exchange, QueueType};
use super::resolve::Candidate;

/// Agents by their place among all.
#[derive(Debug, Default)]
pub(super) struct Kept<'c> {
    pub(super) places: BTreeSet<usize>,
    names: HashMap<&'c str, Vec<usize>>,
    /// By the queue that they consume.
    queues: HashMap<&'c str, Vec<usize>>,
    /// By name, and then by how it is declared: alike, it is no conflict.
    exchanges: HashMap<&'c str, Vec<(&'c Exchange, Vec<usize>)>>,
    /// By the queues that they declare for copies, and then by the kind of these.
    copies: HashMap<&'c str, Vec<(QueueType, Vec<usize>)>>,
}

impl<'c> Kept<'c> {
    /// The agents that `candidate` could be in conflict with, in their order; no other can.
    pub(super) fn concerned_by(&self, candidate: &Candidate) -> BTreeSet<usize> {
        let source = &candidate.definition.source;
        let mut places = BTreeSet::new();
        places.extend(self.names.get(&*candidate.definition.name).into_iter().flatten());
        let copies = candidate.copies.iter().map(|copies| copies.name.as_str());
        for queue in copies.clone().chain([source.queue.name.as_str()]) {
            places.extend(self.queues.get(queue).into_iter().flatten());
        }
        for (_, takers) in self.copies.get(&*source.queue.name).into_iter().flatten() {
            places.extend(takers);
        }
        for makers in copies.filter_map(|queue| self.copies.get(queue)) {
            let otherwise = makers.iter().filter(|(kind, _)| *kind != source.copy_kind());
            places.extend(otherwise.flat_map(|(_, places)| places));
        }
        if let Some(exchange) = &source.exchange {
            let known = self.exchanges.get(&*exchange.name).into_iter().flatten();
            let otherwise = known.filter(|(known, _)| *known != exchange);
            places.extend(otherwise.flat_map(|(_, places)| places));
        }
        places
    }

    /// Takes in `candidate`, which is at `place` among all.
    pub(super) fn add(&mut self, place: usize, candidate: &'c Candidate) {
        let source = &candidate.definition.source;
        self.places.insert(place);
        self.names.entry(&candidate.definition.name).or_default().push(place);
        self.queues.entry(&source.queue.name).or_default().push(place);
        for copies in &candidate.copies {
            put(self.copies.entry(&copies.name).or_default(), source.copy_kind(), place);
        }
        if let Some(exchange) = &source.exchange {
            put(self.exchanges.entry(&exchange.name).or_default(), exchange, place);
        }
    }
}

fn put<K: PartialEq>(groups: &mut Vec<(K, Vec<usize>)>, key: K, place: usize) {
    match groups.iter_mut().find(|(known, _)| *known == key) {
        Some((_, places)) => places.push(place),
        None => groups.push((key, vec![place])),
    }
}
