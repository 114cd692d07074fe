use std::{error::Error, fmt};

/// The result of a part of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What went wrong, and what to do about it, in words for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: None,
        }
    }

    /// `doing` failed because of `cause`.
    pub(crate) fn because(doing: impl fmt::Display, cause: impl Error) -> Self {
        Self::new(format!("{doing}: {cause}"))
    }

    /// The same failure with advice, unless it has some that is closer to the cause.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert_with(|| advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.advice {
            Some(advice) => write!(f, "\n   do: {advice}"),
            None => Ok(()),
        }
    }
}
