use std::sync::OnceLock;

use redis::{Cmd, cmd};

/// Lua that a server runs in one atomic step.
#[derive(Debug)]
pub(crate) struct Script {
    code: &'static str,
    digest: OnceLock<String>,
}

/// `script!(NAME, "file.lua", …)`: a script of one file, or of a file that others begin with and one of
/// those.
macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        static $name: $crate::script::Script =
            $crate::script::Script::new(concat!($(include_str!($file)),+));
    };
}

pub(crate) use script;

/// A script with its keys and arguments.
#[derive(Debug)]
pub(crate) struct Call {
    script: &'static Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    only_reads: bool,
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
    pub(crate) const fn of(script: &'static Script) -> Self {
        Self {
            script,
            keys: Vec::new(),
            arguments: Vec::new(),
            only_reads: false,
        }
    }

    /// Whoever runs it twice has run it once.
    pub(crate) const fn reading(script: &'static Script) -> Self {
        let mut call = Self::of(script);
        call.only_reads = true;
        call
    }

    pub(crate) const fn only_reads(&self) -> bool {
        self.only_reads
    }

    /// All keys of a call have one hash tag, since a script is run where its first key is.
    pub(crate) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.keys.push(key.into());
        self
    }

    pub(crate) fn bytes(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn number(self, number: impl Into<u64>) -> Self {
        self.bytes(number.into().to_string())
    }

    pub(crate) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", self.script.digest())
    }

    pub(crate) fn in_full(&self) -> Cmd {
        self.command("EVAL", self.script.code)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len());
        for part in self.keys.iter().chain(&self.arguments) {
            command.arg(part.as_slice());
        }
        command
    }
}
