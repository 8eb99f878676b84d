//! What callgrind wrote of a run: instructions, system calls and calls, by function.
//!
//! Its format is told in valgrind's manual, "Callgrind Format Specification".

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

/// The C library's functions that allocate.
pub const ALLOCATOR: [&str; 6] =
    ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// Costs of one run, or of what one run did more than another.
#[derive(Default)]
pub struct Costs {
    /// By function: its own, without what it calls.
    pub own: BTreeMap<String, Own>,
    /// By caller and callee.
    pub calls: BTreeMap<(String, String), Call>,
    /// The functions that are not the program's own: the C library's.
    pub foreign: BTreeSet<String>,
}

#[derive(Clone, Copy, Default)]
pub struct Own {
    pub instructions: u64,
    pub system_calls: u64,
}

#[derive(Clone, Copy, Default)]
pub struct Call {
    pub count: u64,
    /// With all that the callee calls.
    pub instructions: u64,
}

impl Costs {
    pub fn read(text: &str, program: &str) -> io::Result<Self> {
        let mut reader = Reader { program, ..Reader::default() };
        for (number, line) in text.lines().enumerate() {
            let place = || io::Error::other(format!("callgrind.out:{}: {line}", number + 1));
            reader.line(line).ok_or_else(place)?;
        }
        Ok(reader.costs)
    }

    /// What this run did more than `less`, a shorter one.
    #[must_use]
    pub fn beyond(mut self, less: &Self) -> Self {
        for (function, own) in &mut self.own {
            let other = less.own.get(function).copied().unwrap_or_default();
            own.instructions = own.instructions.saturating_sub(other.instructions);
            own.system_calls = own.system_calls.saturating_sub(other.system_calls);
        }
        for (pair, call) in &mut self.calls {
            let other = less.calls.get(pair).copied().unwrap_or_default();
            call.count = call.count.saturating_sub(other.count);
            call.instructions = call.instructions.saturating_sub(other.instructions);
        }
        self
    }

    pub fn instructions(&self) -> u64 {
        self.own.values().map(|own| own.instructions).sum()
    }

    /// Without those for the time, which are none where valgrind does not stand between.
    pub fn system_calls(&self) -> u64 {
        let real = self.own.iter().filter(|(function, _)| !function.starts_with("clock_gettime"));
        real.map(|(_, own)| own.system_calls).sum()
    }

    /// How often one of these functions was called.
    pub fn count(&self, callees: &[&str]) -> u64 {
        let made = self.calls.iter().filter(|((_, callee), _)| callees.contains(&callee.as_str()));
        made.map(|(_, call)| call.count).sum()
    }
}

/// Where the reading is: callgrind names object and function once for the lines that follow.
#[derive(Default)]
struct Reader<'a> {
    program: &'a str,
    costs: Costs,
    objects: HashMap<&'a str, &'a str>,
    functions: HashMap<&'a str, &'a str>,
    object: &'a str,
    function: &'a str,
    /// Of the call that comes, when it is another than the caller's.
    callee_object: Option<&'a str>,
    callee: &'a str,
    /// How often it was called: the next line has the cost.
    calls: Option<u64>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Option<()> {
        if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            return self.cost(line);
        }
        let Some((key, value)) = line.split_once('=') else { return Some(()) };
        match key {
            "ob" => self.object = name(&mut self.objects, value)?,
            "fn" => {
                self.function = name(&mut self.functions, value)?;
                self.callee_object = None;
                self.note(self.function, self.object);
            }
            "cob" => self.callee_object = Some(name(&mut self.objects, value)?),
            "cfn" => {
                self.callee = name(&mut self.functions, value)?;
                let object = self.callee_object.take().unwrap_or(self.object);
                self.note(self.callee, object);
            }
            "calls" => self.calls = Some(value.split(' ').next()?.parse().ok()?),
            _ => {}
        }
        Some(())
    }

    /// A position, instructions and, unless they are none, system calls.
    fn cost(&mut self, line: &str) -> Option<()> {
        let mut costs = line.split(' ').skip(1).map(str::parse::<u64>);
        let mut next = || costs.next().unwrap_or(Ok(0)).ok();
        let (instructions, system_calls) = (next()?, next()?);
        if let Some(count) = self.calls.take() {
            let pair = (self.function.to_owned(), self.callee.to_owned());
            let call = self.costs.calls.entry(pair).or_default();
            call.count += count;
            call.instructions += instructions;
        } else {
            let own = self.costs.own.entry(self.function.to_owned()).or_default();
            own.instructions += instructions;
            own.system_calls += system_calls;
        }
        Some(())
    }

    fn note(&mut self, function: &str, object: &str) {
        if object != self.program {
            self.costs.foreign.insert(function.to_owned());
        }
    }
}

/// Reads `(7) name`, which gives the number a name, or `(7)`, which uses it.
///
/// A function that calls itself has a name for each depth, such as `write'2`.
fn name<'a>(known: &mut HashMap<&'a str, &'a str>, text: &'a str) -> Option<&'a str> {
    let (number, name) = text.split_once(')')?;
    if name.is_empty() {
        return known.get(number).copied();
    }
    let name = name.trim_start();
    let name = name
        .rsplit_once('\'')
        .map_or(name, |(shallow, depth)| if depth.parse::<u32>().is_ok() { shallow } else { name });
    known.insert(number, name);
    Some(name)
}
