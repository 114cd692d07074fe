/// Whether the licence `expression` of a crate can be met with the `allowed` licences alone.
///
/// Reads SPDX expressions, and the older `MIT/Apache-2.0` for "or". What cannot be read is not
/// allowed.
pub(super) fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = Words {
        rest: spaced.split_whitespace().collect(),
        allowed,
    };
    words.rest.reverse();
    words
        .any_of()
        .is_some_and(|met| met && words.rest.is_empty())
}

/// The words of an expression, next one last.
struct Words<'a> {
    rest: Vec<&'a str>,
    allowed: &'a [String],
}

impl Words<'_> {
    fn any_of(&mut self) -> Option<bool> {
        let mut met = self.all_of()?;
        while self.take("OR") {
            met |= self.all_of()?;
        }
        Some(met)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let met = self.any_of()?;
            return self.take(")").then_some(met);
        }
        let mut licence = self.rest.pop()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.rest.pop()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest.last() == Some(&word);
        if found {
            self.rest.pop();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_way_through_an_expression_is_enough() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from);
        for expression in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(is_allowed(expression, &allowed), "{expression}");
        }
        for expression in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT OR Apache-2.0 AND (",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR GPL-3.0) AND BSD-3-Clause",
            "MIT Apache-2.0",
        ] {
            assert!(!is_allowed(expression, &allowed), "{expression}");
        }
    }
}
