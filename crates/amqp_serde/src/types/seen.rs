//! Short strings that came before.

use std::cell::Cell;
use std::sync::Arc;

use super::short_str::OCTETS_MAX;
use super::text::Text;

/// How many strings a thread remembers.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 7;

/// How often a string may be passed over for another once it came again.
const WORTH_MAX: u8 = 3;

/// Where one string is remembered.
struct Place {
    text: Cell<Option<Arc<Text>>>,
    /// How many other strings are still turned away.
    worth: Cell<u8>,
}

thread_local! {
    static SEEN: [Place; PLACES] = const { [const { Place::new() }; PLACES] };
}

/// The text of these octets, of which there are at most 255: the same as the
/// last time if this thread has seen them lately.
///
/// A consumer's messages nearly always come with the same few strings (consumer
/// tag, exchange, routing key, content type), which need not be copied and
/// checked each time. What differs each time, such as a message id, is soon
/// forgotten again and does not drive out what comes often.
pub(super) fn text(octets: &[u8]) -> Arc<Text> {
    // A thread that ends may have let go of what it has seen.
    SEEN.try_with(|seen| seen[place(octets)].text(octets)).unwrap_or_else(|_| make(octets))
}

fn make(octets: &[u8]) -> Arc<Text> {
    Arc::new(Text::from_octets(octets, OCTETS_MAX))
}

impl Place {
    const fn new() -> Self {
        Self { text: Cell::new(None), worth: Cell::new(0) }
    }

    fn text(&self, octets: &[u8]) -> Arc<Text> {
        let known = self.text.take();
        let worth = self.worth.get();
        let (text, kept) = match known {
            Some(known) if known.octets() == octets => {
                self.worth.set(WORTH_MAX);
                (Arc::clone(&known), known)
            }
            Some(known) if worth > 0 => {
                self.worth.set(worth - 1);
                (make(octets), known)
            }
            Some(_) | None => {
                let text = make(octets);
                (Arc::clone(&text), text)
            }
        };
        self.text.set(Some(kept));
        text
    }
}

/// Where octets are remembered: by all of them, eight at a time. Strings of one
/// length often differ only in their middle.
fn place(octets: &[u8]) -> usize {
    let (words, _) = octets.as_chunks();
    let mut hash = octets.len() as u64;
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    // What is left, together with some of what is not.
    let last = match (octets.last_chunk(), octets.first_chunk(), octets.last_chunk()) {
        (Some(last), _, _) => u64::from_le_bytes(*last),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => octets.iter().fold(0, |last, octet| last << 8 | u64::from(*octet)),
    };
    let hash = mix(hash, last);
    usize::try_from(hash >> (u64::BITS - PLACES_BITS)).unwrap_or_default()
}

fn mix(hash: u64, word: u64) -> u64 {
    // An odd number with many ones, spread evenly: that of FxHash.
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_comes_again_is_the_same() {
        for octets in [&b""[..], b"orders", b"caf\xe9", &[b'x'; 255]] {
            let (first, again) = (text(octets), text(octets));
            assert!(Arc::ptr_eq(&first, &again));
            assert_eq!(again.octets(), octets);
        }
    }

    #[test]
    fn what_differs_each_time_does_not_drive_out_what_comes_often() {
        let often = text(b"application/json");
        for number in 0..10_000 {
            assert!(Arc::ptr_eq(&text(b"application/json"), &often));
            assert_eq!(text(format!("message-{number}").as_bytes()).octets()[..8], *b"message-");
        }
    }

    #[test]
    fn what_comes_no_more_is_forgotten() {
        let past = text(b"past");
        (0..10).for_each(|_| drop(text(b"past")));
        for number in 0..10_000 {
            text(format!("message-{number}").as_bytes());
        }
        assert_eq!(Arc::strong_count(&past), 1);
    }

    #[test]
    fn strings_of_any_length_are_spread_over_all_places() {
        for length in [1, 4, 7, 8, 9, 30, 36] {
            let mut used = [false; PLACES];
            for number in 0..=255_u8 {
                for at in [0, length / 2, length - 1] {
                    let mut octets = vec![b'-'; length];
                    octets[at] = number;
                    used[place(&octets)] = true;
                }
            }
            let used = used.iter().filter(|used| **used).count();
            assert!(used > PLACES / 2, "{used} places for strings of {length}");
        }
    }
}
