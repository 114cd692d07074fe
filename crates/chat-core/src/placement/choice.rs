use backplane::{
    directory::{Node, NodeState, View},
    ring::HashRing,
};
use fastrand::Rng;

use crate::ConversationId;

/// A server for a device in `region`: one there that is up and has room, else one anywhere. Of two that are drawn, the
/// one with more room, which keeps all of them about equally full without anybody counting (the power of two choices:
/// Mitzenmacher, 2001). `None` if there is none.
///
/// The [weight](Node::weight) of a node is how many more sessions it takes.
#[must_use]
pub fn choose<'a>(view: &'a View, region: &str, rng: &mut Rng) -> Option<&'a Node> {
    let nearest = candidates(view, Some(region));
    let candidates = if nearest.is_empty() {
        candidates(view, None)
    } else {
        nearest
    };
    let first = rng.choice(&candidates).copied()?;
    let others: Vec<_> = candidates
        .into_iter()
        .filter(|node| node.name != first.name)
        .collect();
    let second = rng.choice(&others).copied().unwrap_or(first);
    Some(if second.weight > first.weight {
        second
    } else {
        first
    })
}

/// The server at which those who talk in a conversation meet, so that what they say crosses no bus: its owner on
/// `ring`, or the next one there that is up and has room. `None` if there is none.
///
/// The names of the ring's members are those of the nodes.
#[must_use]
pub fn choose_for<'a>(
    view: &'a View,
    ring: &HashRing,
    conversation: ConversationId,
) -> Option<&'a Node> {
    let name = conversation.to_string();
    let owners = ring.owners(name.as_bytes());
    let nodes = owners.filter_map(|owner| {
        let name = std::str::from_utf8(owner.name().as_bytes()).ok()?;
        view.node(name)
    });
    let mut takes = nodes.filter(|node| takes_more(node));
    takes.next()
}

fn candidates<'a>(view: &'a View, region: Option<&str>) -> Vec<&'a Node> {
    let is_near = |node: &&Node| region.is_none_or(|region| *node.region == *region);
    let nodes = view.nodes.iter().filter(is_near);
    nodes.filter(|node| takes_more(node)).collect()
}

fn takes_more(node: &Node) -> bool {
    node.state == NodeState::Up && node.weight > 0
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use backplane::{
        directory::{Incarnation, ViewEpoch},
        ring::{Member, RingOptions},
    };

    use super::*;
    use crate::GroupId;

    fn node(name: &str, region: &str, room: u32) -> Node {
        let node = Node::new(name, Incarnation::new(1), "address");
        node.with_region(region).with_weight(room)
    }

    fn view(nodes: impl IntoIterator<Item = Node>) -> View {
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        View {
            epoch: ViewEpoch::new(1),
            nodes: nodes.into(),
        }
    }

    #[test]
    fn a_device_goes_to_its_own_region_if_there_is_room() {
        let mut rng = Rng::with_seed(1);
        let full = node("b", "eu", 0);
        let draining = node("c", "eu", 9).with_state(NodeState::Draining);
        let near = view([
            node("a", "eu", 1),
            full.clone(),
            draining.clone(),
            node("d", "us", 99),
        ]);
        for _ in 0..50 {
            assert_eq!(&*choose(&near, "eu", &mut rng).unwrap().name, "a");
        }
        let far = view([full.clone(), draining.clone(), node("d", "us", 1)]);
        assert_eq!(&*choose(&far, "eu", &mut rng).unwrap().name, "d");
        assert_eq!(choose(&view([full, draining]), "eu", &mut rng), None);
    }

    /// 10,000 devices come to 20 servers, one of which has room for a half as many again: in the end all have about as
    /// much room left.
    #[test]
    fn servers_fill_evenly_whatever_room_they_have() {
        let mut rng = Rng::with_seed(1);
        let nodes = (0..20).map(|number| node(&format!("{number:02}"), "eu", 1_000));
        let mut nodes: Vec<_> = nodes.collect();
        nodes[7].weight = 1_500;
        for _ in 0..10_000 {
            let view = view(nodes.clone());
            let chosen: Arc<str> = Arc::clone(&choose(&view, "eu", &mut rng).unwrap().name);
            let taker = nodes.iter_mut().find(|node| node.name == chosen).unwrap();
            taker.weight -= 1;
        }
        let room: Vec<_> = nodes.iter().map(|node| node.weight).collect();
        let (least, most) = (room.iter().min().unwrap(), room.iter().max().unwrap());
        assert!(most - least < 25, "{room:?}");
    }

    #[test]
    fn a_conversation_meets_at_one_server_and_moves_only_if_that_has_no_room() {
        let names = ["a", "b", "c", "d"];
        let members = names.map(|name| Member::new(name).unwrap());
        let ring = HashRing::build(members, 1, &RingOptions::default()).unwrap();
        let talks = (0..1_000).map(|group| ConversationId::Group(GroupId::new(group)));
        let talks: Vec<_> = talks.collect();
        let place = |view: &View| -> BTreeMap<ConversationId, Arc<str>> {
            let chosen = |talk| Arc::clone(&choose_for(view, &ring, talk).unwrap().name);
            talks.iter().map(|talk| (*talk, chosen(*talk))).collect()
        };
        let before = place(&view(names.map(|name| node(name, "eu", 5))));
        for name in names {
            let share = before.values().filter(|chosen| ***chosen == *name).count();
            assert!((150..350).contains(&share), "{name}: {share}");
        }
        let full = names.map(|name| node(name, "eu", u32::from(name != "b")));
        for (talk, after) in place(&view(full)) {
            let has_moved = before[&talk] != after;
            assert_eq!(has_moved, *before[&talk] == *"b", "{talk}");
        }
        let none = names.map(|name| node(name, "eu", 0));
        assert_eq!(choose_for(&view(none), &ring, talks[0]), None);
    }
}
