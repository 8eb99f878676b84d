//! What a reload has to do: a pure function of the old definitions and the new.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::definition::AgentDefinition;

/// What a reload has to do, each part by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff {
    /// Agents that are new.
    pub started: Vec<Arc<AgentDefinition>>,
    /// Names of agents that are gone.
    pub stopped: Vec<Arc<str>>,
    /// Agents that are otherwise now: replaced after a drain.
    pub changed: Vec<Arc<AgentDefinition>>,
    /// Names of agents that keep running untouched.
    pub unchanged: Vec<Arc<str>>,
}

/// What leads from `old` to `new`. Names are unique in each.
#[must_use]
pub fn diff(old: &[Arc<AgentDefinition>], new: &[Arc<AgentDefinition>]) -> Diff {
    let old = by_name(old);
    let new = by_name(new);
    let mut diff = Diff::default();
    for (name, definition) in &new {
        match old.get(name) {
            None => diff.started.push(Arc::clone(definition)),
            Some(known) if known == definition => diff.unchanged.push(Arc::clone(name)),
            Some(_) => diff.changed.push(Arc::clone(definition)),
        }
    }
    diff.stopped = old.keys().filter(|name| !new.contains_key(*name)).map(Arc::clone).collect();
    diff
}

/// The new definitions and, for each file that is broken now, the old ones that came from it.
///
/// An old agent whose name a new one has taken is left out.
#[must_use]
pub fn keeping_broken(
    old: &[Arc<AgentDefinition>],
    new: Vec<Arc<AgentDefinition>>,
    broken: &[PathBuf],
) -> Vec<Arc<AgentDefinition>> {
    let mut kept = new;
    for definition in old.iter().filter(|definition| broken.contains(&definition.file)) {
        if kept.iter().all(|other| other.name != definition.name) {
            kept.push(Arc::clone(definition));
        }
    }
    kept
}

fn by_name(definitions: &[Arc<AgentDefinition>]) -> BTreeMap<Arc<str>, &Arc<AgentDefinition>> {
    definitions.iter().map(|definition| (Arc::clone(&definition.name), definition)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::{NoEnvironment, agent_text};

    fn definition(name: &str, prefetch_count: u16) -> Arc<AgentDefinition> {
        let text = agent_text(&format!("prefetch_count = {prefetch_count}"));
        let path = format!("{name}.toml");
        let (definition, problems) =
            crate::config::load_agent_text(Path::new(&path), &text, &NoEnvironment);
        Arc::new(definition.unwrap_or_else(|| panic!("{problems:?}")))
    }

    fn definitions() -> impl Strategy<Value = Vec<Arc<AgentDefinition>>> {
        let agents = proptest::collection::btree_map("[a-e]", 20_u16..23, 0..5);
        agents.prop_map(|agents| {
            agents.iter().map(|(name, prefetch_count)| definition(name, *prefetch_count)).collect()
        })
    }

    fn applied(old: &[Arc<AgentDefinition>], diff: &Diff) -> Vec<Arc<AgentDefinition>> {
        let stays = |one: &&Arc<AgentDefinition>| diff.unchanged.contains(&one.name);
        let kept = old.iter().filter(stays).chain(&diff.started).chain(&diff.changed);
        let mut agents: Vec<Arc<AgentDefinition>> = kept.cloned().collect();
        agents.sort_by(|one, other| one.name.cmp(&other.name));
        agents
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_is_done_where_nothing_changed(agents in definitions()) {
            let diff = diff(&agents, &agents);
            prop_assert!(diff.started.is_empty() && diff.stopped.is_empty() && diff.changed.is_empty());
            prop_assert_eq!(diff.unchanged.len(), agents.len());
        }

        #[test]
        fn what_is_done_leads_from_old_to_new(old in definitions(), new in definitions()) {
            let diff = diff(&old, &new);
            prop_assert_eq!(applied(&old, &diff), new);
            let touched = diff.unchanged.len() + diff.changed.len() + diff.stopped.len();
            prop_assert_eq!(touched, old.len());
        }
    }

    #[test]
    fn a_broken_file_keeps_its_old_agent() {
        let old = [definition("a", 20), definition("b", 20), definition("c", 20)];
        let new = vec![definition("c", 21)];
        let broken = [PathBuf::from("a.toml"), PathBuf::from("c.toml")];
        let kept = keeping_broken(&old, new, &broken);
        assert_eq!(kept, [definition("c", 21), definition("a", 20)]);
        assert_eq!(diff(&old, &kept).stopped, [Arc::from("b")]);
    }
}
