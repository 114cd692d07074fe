//! The lists of feed-core.

macro_rules! lists {
    ($redis:ident) => {};
}

pub(crate) use lists;
