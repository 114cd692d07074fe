//! Who may do what: the rules that every store applies, apart from how it finds out.

use crate::{
    ConversationId, NewEvent, Refusal, Role, UserId,
    event::{Act, MAX_REACTIONS},
};

/// What a store knows when it decides upon an event, of the instant at which it would happen.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a decision takes, and no more"
)]
pub struct Facts {
    /// What [who does it](NewEvent::from) is to the conversation; `None` for who is no member.
    pub actor: Option<Role>,
    /// What [whom it is about](Act::subject) is to the conversation.
    pub subject: Option<Role>,
    /// The message that [it is about](Act::target), if there is one that was not deleted, and whoever asks
    /// may read it.
    pub target: Option<TargetFacts>,
    /// Whether the group has room for another member.
    pub has_room: bool,
}

/// What a store knows of a message that is to be changed.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a decision takes, and no more"
)]
pub struct TargetFacts {
    /// Who said it; nobody, if the application did.
    pub author: Option<UserId>,
    /// How many different reactions it has.
    pub reactions: usize,
    /// Whether somebody has the reaction that is asked for.
    pub has_reaction: bool,
    /// Whether who asks has it.
    pub has_mine: bool,
}

/// Decides whether `event` may happen in a conversation that there is.
///
/// # Errors
///
/// The reason why not.
pub fn decide(event: &NewEvent, facts: Facts) -> Result<(), Refusal> {
    let actor = match event.from {
        Some(_) => Some(facts.actor.ok_or(Refusal::NotMember)?),
        None => None,
    };
    let is_admin = actor.is_none_or(|role| role == Role::Admin);
    if event.act.is_about_members() && matches!(event.conversation, ConversationId::Direct(_)) {
        return Err(Refusal::Direct);
    }
    match &event.act {
        Act::Message(_) => Ok(()),
        Act::Edit { .. } => {
            let target = facts.target.ok_or(Refusal::UnknownMessage)?;
            allow(is_author(event, target), Refusal::NotAuthor)
        }
        Act::Delete { .. } => {
            let target = facts.target.ok_or(Refusal::UnknownMessage)?;
            allow(is_author(event, target) || is_admin, Refusal::NotAuthor)
        }
        Act::React { on, .. } => {
            allow(actor.is_some(), Refusal::NotMember)?;
            let target = facts.target.ok_or(Refusal::UnknownMessage)?;
            allow(target.has_mine != *on, Refusal::Already)?;
            let fits = !on || target.has_reaction || target.reactions < MAX_REACTIONS;
            allow(fits, Refusal::TooManyReactions)
        }
        Act::Join { .. } => {
            allow(is_admin, Refusal::NotAdmin)?;
            allow(facts.subject.is_none(), Refusal::Already)?;
            allow(facts.has_room, Refusal::GroupFull)
        }
        Act::Leave { user } => {
            let is_own = event.from.is_some_and(|device| device.user == *user);
            allow(is_own || is_admin, Refusal::NotAdmin)?;
            allow(facts.subject.is_some(), Refusal::UnknownMember)
        }
        Act::Appoint { role, .. } => {
            allow(is_admin, Refusal::NotAdmin)?;
            let subject = facts.subject.ok_or(Refusal::UnknownMember)?;
            allow(subject != *role, Refusal::Already)
        }
        Act::Describe(_) => allow(is_admin, Refusal::NotAdmin),
    }
}

fn is_author(event: &NewEvent, target: TargetFacts) -> bool {
    event
        .from
        .is_none_or(|device| Some(device.user) == target.author)
}

fn allow(condition: bool, otherwise: Refusal) -> Result<(), Refusal> {
    condition.then_some(()).ok_or(otherwise)
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;
    use crate::{Device, DeviceId, GroupId, MessageId, MessageRef};

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);
    const TARGET: MessageRef = MessageRef {
        seq: 1,
        id: MessageId::new(1),
    };

    fn event(from: Option<UserId>, act: Act) -> NewEvent {
        let group = ConversationId::Group(GroupId::new(1));
        let device = from.map(|user| Device::new(user, DeviceId::new(1)));
        NewEvent::new(group, MessageId::new(9), Timestamp::EPOCH, device, act)
    }

    fn by_ann() -> TargetFacts {
        TargetFacts {
            author: Some(ANN),
            reactions: 0,
            has_reaction: false,
            has_mine: false,
        }
    }

    /// Who may do what to Ann's message: Ann, another member, an admin, the application.
    #[test]
    fn an_author_edits_and_an_admin_deletes() {
        let edit = Act::Edit {
            target: TARGET,
            body: "x".into(),
        };
        let delete = Act::Delete { target: TARGET };
        let (member, admin) = (Some(Role::Member), Some(Role::Admin));
        let no = Err(Refusal::NotAuthor);
        for (from, actor, edits, deletes) in [
            (Some(ANN), member, Ok(()), Ok(())),
            (Some(BOB), member, no, no),
            (Some(BOB), admin, no, Ok(())),
            (None, None, Ok(()), Ok(())),
        ] {
            let facts = Facts {
                actor,
                target: Some(by_ann()),
                ..Facts::default()
            };
            assert_eq!(
                decide(&event(from, edit.clone()), facts),
                edits,
                "{from:?} {actor:?}"
            );
            assert_eq!(
                decide(&event(from, delete.clone()), facts),
                deletes,
                "{from:?} {actor:?}"
            );
        }
    }

    #[test]
    fn a_full_set_of_reactions_takes_more_of_its_own() {
        let react = |on| Act::React {
            target: TARGET,
            reaction: "+1".parse().unwrap(),
            on,
        };
        let full = |has_reaction, has_mine| Facts {
            actor: Some(Role::Member),
            target: Some(TargetFacts {
                reactions: MAX_REACTIONS,
                has_reaction,
                has_mine,
                ..by_ann()
            }),
            ..Facts::default()
        };
        let decide = |on, has, mine| decide(&event(Some(BOB), react(on)), full(has, mine));
        assert_eq!(decide(true, false, false), Err(Refusal::TooManyReactions));
        assert_eq!(decide(true, true, false), Ok(()));
        assert_eq!(decide(true, true, true), Err(Refusal::Already));
        assert_eq!(decide(false, true, true), Ok(()));
        assert_eq!(decide(false, true, false), Err(Refusal::Already));
    }

    #[test]
    fn nobody_comes_or_goes_in_a_direct_conversation() {
        let facts = Facts {
            actor: Some(Role::Member),
            has_room: true,
            ..Facts::default()
        };
        for act in [
            Act::Leave { user: ANN },
            Act::Join {
                user: BOB,
                role: Role::Member,
            },
            Act::Describe("x".into()),
        ] {
            let mut event = event(Some(ANN), act);
            event.conversation = ConversationId::direct(ANN, BOB);
            assert_eq!(decide(&event, facts), Err(Refusal::Direct));
        }
    }
}
