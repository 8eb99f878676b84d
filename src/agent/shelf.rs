//! Where held messages are kept, so that one is found by its key without a search.

use super::window::Held;

/// Names a held message; never used twice by one agent, so that what belongs to a message of
/// an earlier session finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    number: u64,
    /// Where it is to be found, as long as what is there has this number.
    place: usize,
}

/// Where messages are kept: as many places as were ever held at a time, used again and again.
#[derive(Default)]
pub(super) struct Shelf {
    places: Vec<Option<(u64, Held)>>,
    free: Vec<usize>,
    next_number: u64,
}

impl Shelf {
    /// Keeps a message, under a name that was never used before.
    pub(super) fn put(&mut self, held: Held) -> Key {
        let number = self.next_number;
        self.next_number += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some((number, held));
        Key { number, place }
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// One that is kept.
    pub(super) fn get(&self, key: Key) -> Option<&Held> {
        let (number, held) = self.places.get(key.place)?.as_ref()?;
        (*number == key.number).then_some(held)
    }

    /// One that is kept, to be changed.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Held> {
        let (number, held) = self.places.get_mut(key.place)?.as_mut()?;
        (*number == key.number).then_some(held)
    }

    /// Takes one away.
    pub(super) fn take(&mut self, key: Key) -> Option<Held> {
        self.get(key)?;
        let (_, held) = self.places[key.place].take()?;
        self.free.push(key.place);
        Some(held)
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Held)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, kept)| {
            let (number, held) = kept.as_ref()?;
            Some((Key { number: *number, place }, held))
        })
    }

    /// Takes all away.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        self.free.clear();
        self.places.drain(..).flatten().map(|(_, held)| held).collect()
    }
}

#[cfg(test)]
impl Shelf {
    /// How many places there are, used or not.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
impl Key {
    pub(super) fn numbered(number: u64) -> Self {
        Self { number, place: 0 }
    }
}
