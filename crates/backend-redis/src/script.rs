use std::{fmt, io::Write, iter, sync::OnceLock};

use redis::Cmd;

/// Lua that a server runs in one atomic step.
#[derive(Debug)]
pub(crate) struct Script {
    code: &'static str,
    digest: OnceLock<String>,
}

/// `script!(NAME, "file.lua", …)`: a script of files one behind the other, of which others share those that
/// it begins or ends with. Paths are from the file that says so.
macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        static $name: $crate::script::Script =
            $crate::script::Script::new(concat!(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lua/effects.lua")),
                $(include_str!($file)),+
            ));
    };
}

pub(crate) use script;

/// A script with its keys and arguments.
#[derive(Debug)]
pub(crate) struct Call {
    script: &'static Script,
    /// The keys, and then what a script is given.
    arguments: Arguments,
    keys: usize,
    effect: Effect,
}

/// What a script does to what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    Reads,
    /// May be lost.
    Passes,
    Stays,
}

/// Bytes one behind the other, and where each argument ends.
#[derive(Debug)]
pub(crate) struct Arguments {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Script {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self {
            code,
            digest: OnceLock::new(),
        }
    }

    /// What a server calls it that has run it before.
    fn digest(&self) -> &str {
        self.digest
            .get_or_init(|| redis::Script::new(self.code).get_hash().to_owned())
    }
}

impl Call {
    /// Changes something, of which replicas are to know if the [`Redis`](crate::Redis) says so.
    pub(crate) const fn of(script: &'static Script) -> Self {
        Self::with(script, Effect::Stays)
    }

    /// Changes something that may be lost with a server: waits for no replica.
    pub(crate) const fn passing(script: &'static Script) -> Self {
        Self::with(script, Effect::Passes)
    }

    /// Answers what is there. It may tidy up on the way, but acknowledges no change: so it is made again when a
    /// connection was lost, and waits for no replica.
    pub(crate) const fn reading(script: &'static Script) -> Self {
        Self::with(script, Effect::Reads)
    }

    const fn with(script: &'static Script, effect: Effect) -> Self {
        Self {
            script,
            arguments: Arguments::new(),
            keys: 0,
            effect,
        }
    }

    pub(crate) fn only_reads(&self) -> bool {
        self.effect == Effect::Reads
    }

    /// Whether nobody relies on what it changes.
    pub(crate) fn may_be_lost(&self) -> bool {
        self.effect != Effect::Stays
    }

    /// The same, but waits for no replica.
    pub(crate) fn in_passing(mut self) -> Self {
        self.effect = Effect::Passes;
        self
    }

    /// All keys of a call have one hash tag, since a script is run where its first key is. They come before
    /// the arguments.
    pub(crate) fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        debug_assert_eq!(self.keys, self.arguments.ends.len(), "keys come first");
        self.keys += 1;
        self.bytes(key)
    }

    /// The name that the names of several keys begin with, which the script makes up by itself, and one that
    /// is never there. While a slot moves, a server refuses a script some of whose keys it does not have
    /// before the script begins; of other keys it finds out in the middle.
    pub(crate) fn family(self, base: impl AsRef<[u8]>) -> Self {
        let never = [base.as_ref(), b":"].concat();
        self.key(base).key(never)
    }

    pub(crate) fn bytes(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.arguments = self.arguments.bytes(argument);
        self
    }

    pub(crate) fn number(mut self, number: impl Into<u64>) -> Self {
        self.arguments = self.arguments.number(number);
        self
    }

    pub(crate) fn all(mut self, more: &Arguments) -> Self {
        self.arguments.append(more);
        self
    }

    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", self.script.digest())
    }

    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let size = name.len() + script.len() + self.arguments.bytes.len();
        let mut command = Cmd::with_capacity(3 + self.arguments.ends.len(), size);
        command.arg(name).arg(script).arg(self.keys);
        for argument in self.arguments.iter() {
            command.arg(argument);
        }
        command
    }
}

impl Arguments {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn bytes(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.bytes.extend_from_slice(argument.as_ref());
        self.ends.push(self.bytes.len());
        self
    }

    pub(crate) fn number(self, number: impl Into<u64>) -> Self {
        self.text(format_args!("{}", number.into()))
    }

    pub(crate) fn text(mut self, argument: fmt::Arguments<'_>) -> Self {
        let written = self.bytes.write_fmt(argument);
        written.expect("a vector takes whatever is written to it");
        self.ends.push(self.bytes.len());
        self
    }

    /// How many bytes there are.
    pub(crate) const fn size(&self) -> usize {
        self.bytes.len()
    }

    fn append(&mut self, more: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&more.bytes);
        self.ends.extend(more.ends.iter().map(|end| start + end));
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }
}
