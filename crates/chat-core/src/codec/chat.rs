//! What is read of conversations, and what is asked of them.

use backplane::Position;

use super::{Input, Wire};
use crate::{
    Act, ConversationId, Device, Event, Group, HistoryStart, InboxMark, InboxRow, Member, Message,
    MessageRef, NewEvent, Pair, Reactions, Receipt, Result, Role, What, Windows,
};

/// The fields of structs, in order.
macro_rules! fields {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut Input) -> Result<Self> {
                Ok(Self { $($field: Wire::take(input)?),* })
            }
        }
    )*};
}

/// The variants of enums, each with the byte that says that it is that one.
macro_rules! variants {
    ($($name:ident { $($tag:literal = $variant:ident $(($inner:ident))? $({ $($field:ident),* })?),* })*) => {$(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        out.push($tag);
                        $($inner.put(out);)?
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn take(input: &mut Input) -> Result<Self> {
                match input.byte()? {
                    $($tag => {
                        $(let $inner = Wire::take(input)?;)?
                        $($(let $field = Wire::take(input)?;)*)?
                        Ok(Self::$variant $(($inner))? $({ $($field),* })?)
                    })*
                    _ => Err(Input::corrupt()),
                }
            }
        }
    )*};
}

fields! {
    Position { epoch, offset }
    Device { user, id }
    MessageRef { seq, id }
    Receipt { id, position, at }
    NewEvent { conversation, id, at, from, key, act }
    Event { seq, id, at, from, key, what }
    Message { body, edited, revised, reactions }
    Reactions { reaction, count, mine }
    Member { user, role, windows }
    Group { members, limit, history, about }
    InboxRow { top, changed, is_enrolled, decided, read, queued, received }
    InboxMark { top, changed }
}

variants! {
    ConversationId { 0 = Direct(pair), 1 = Group(group) }
    Role { 0 = Member, 1 = Admin }
    HistoryStart { 0 = Beginning, 1 = Joining }
    Act {
        0 = Message(body),
        1 = Edit { target, body },
        2 = Delete { target },
        3 = React { target, reaction, on },
        4 = Join { user, role },
        5 = Leave { user },
        6 = Appoint { user, role },
        7 = Describe(about)
    }
    What {
        0 = Message(message),
        1 = Edit { target, body },
        2 = Delete { target },
        3 = React { target, reaction, on },
        4 = Join { user, role },
        5 = Leave { user },
        6 = Appoint { user, role },
        7 = Describe(about),
        8 = Found { members, about },
        9 = Deleted { by }
    }
}

/// The lower user, and the higher.
impl Wire for Pair {
    fn put(&self, out: &mut Vec<u8>) {
        self.low().put(out);
        self.high().put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let (low, high) = Wire::take(input)?;
        let in_order = (low <= high).then(|| Self::new(low, high));
        in_order.ok_or_else(Input::corrupt)
    }
}

/// A list of their bounds.
impl Wire for Windows {
    fn put(&self, out: &mut Vec<u8>) {
        self.bounds().collect::<Vec<_>>().put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        let bounds = Vec::take(input)?;
        let fits = (bounds.len() <= Self::MAX).then(|| Self::from_bounds(bounds));
        fits.ok_or_else(Input::corrupt)
    }
}
