//! Users whom time alone has changed.

use std::collections::BTreeMap;

use backplane::{Error, FencingToken};
use chat_core::{Result, UserId, presence::Change};

use super::{
    Open, Purpose, ROUNDS, RedisPresence,
    draft::{Draft, Lapse},
    parts::{Found, Lapses, Manner},
    restless,
    view::View,
};

/// How many users are asked for in each part at least, and at most.
const FEW: usize = 32;
const MANY: usize = 1_000;

/// What is known of the parts: those whom time has changed, and where others may be.
struct Survey {
    view: View,
    told: Vec<(Draft, Lapse)>,
    places: Vec<(u16, Vec<FencingToken>)>,
    /// Why a part has not answered.
    failure: Option<Error>,
}

impl Survey {
    /// Takes in what is known of a part. Answers its turn if all leases under which somebody is there are held.
    fn add(&mut self, part: u16, lapses: Lapses) -> Option<String> {
        let told = lapses.told.into_iter();
        let told = told.map(|(user, lapse, found)| (Draft::of(user, found, lapses.last), lapse));
        self.told.extend(told);
        let (mut ended, mut is_checked) = (Vec::new(), !lapses.unchecked.is_empty());
        for lease in lapses.unchecked {
            if self.view.is_before(lease) {
                is_checked = false;
            } else if self.view.ended(lease).is_some() {
                ended.push(lease);
            }
        }
        if lapses.is_due || !ended.is_empty() {
            self.places.push((part, ended));
            return None;
        }
        is_checked.then_some(lapses.turn)
    }
}

impl RedisPresence {
    /// Tells those who are known, once all who are not have been looked for, or as many as asked for are.
    pub(super) async fn find_lapsed(
        &self,
        settled: &[Change],
        limit: usize,
    ) -> Result<Vec<Change>> {
        let share = limit.saturating_mul(2) / self.parts.all().count();
        let each = limit.clamp(1, share.clamp(FEW, MANY));
        let mut settled = settled;
        for _ in 0..ROUNDS {
            let Some(mut survey) = self.survey(settled, each).await? else {
                continue;
            };
            settled = &[];
            let is_enough = survey.told.len() >= limit || survey.places.is_empty();
            if !is_enough {
                let looked = self.look_for(&survey, each).await;
                survey.failure = survey.failure.or_else(|| looked.err());
            }
            match survey.failure.take() {
                // Where a server is away, others have somebody to tell of.
                Some(failure) if survey.told.is_empty() => return Err(failure.into()),
                Some(_) => return self.tell(survey, limit).await,
                None if is_enough => return self.tell(survey, limit).await,
                None => {}
            }
        }
        // What was found stays so, and the next call goes on.
        Err(restless("lapsed").into())
    }

    /// Asks all parts; nothing, if one was on another server.
    async fn survey(&self, settled: &[Change], limit: usize) -> backplane::Result<Option<Survey>> {
        let view = self.leases.view("lapsed").await?;
        let answers = self.parts.lapsed("lapsed", &view, settled, limit).await;
        let (mut found, mut failure) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(answer) => found.push(answer),
                Err(error) => failure = Some(error),
            }
        }
        if found
            .iter()
            .any(|from| view.server(from.part) != from.server)
        {
            self.locate("lapsed", &view).await?;
            return Ok(None);
        }
        let mut survey = Survey {
            view,
            told: Vec::new(),
            places: Vec::new(),
            failure,
        };
        let checked = found
            .into_iter()
            .filter_map(|from| Some((from.part, survey.add(from.part, from.answer)?)));
        let checked: Vec<_> = checked.collect();
        if !checked.is_empty() {
            self.parts.note_checked(&survey.view, &checked).await;
        }
        Ok(Some(survey))
    }

    /// Looks at users whom time may have changed, so that those whom it has are known.
    async fn look_for(&self, survey: &Survey, limit: usize) -> backplane::Result<()> {
        let (op, view) = ("lapsed", &survey.view);
        let found = self.parts.candidates(op, view, &survey.places, limit).await;
        let mut drafts = BTreeMap::<UserId, Draft>::new();
        for from in found {
            let Found { answer, .. } = from?;
            for (user, lease, found) in answer.users {
                let draft = drafts
                    .entry(user)
                    .or_insert_with(|| Draft::of(user, found, answer.last));
                draft.was_sought(lease);
            }
        }
        let mut drafts: Vec<_> = drafts.into_values().collect();
        drafts.retain(|draft| !draft.is_after(view));
        for draft in &mut drafts {
            draft.bring_up(view);
        }
        let drafts: Vec<_> = drafts.iter().collect();
        let written = self.parts.write(op, view, Manner::Passes, &drafts).await;
        for (_, written) in written {
            // Whoever was changed meanwhile is looked for again.
            written?;
        }
        Ok(())
    }

    async fn tell(&self, survey: Survey, limit: usize) -> Result<Vec<Change>> {
        let Survey { view, mut told, .. } = survey;
        told.truncate(limit);
        let lapses: BTreeMap<_, _> = told
            .iter()
            .map(|(draft, lapse)| (draft.user(), *lapse))
            .collect();
        let drafts = told.into_iter().map(|(draft, _)| draft).collect();
        let open = Open { view, drafts };
        let looked = self.edit("lapsed", Purpose::Look, None, open, |draft| draft.change());
        let looked = looked.await?.unwrap_or_default();
        let changes = looked.into_iter().filter_map(|(user, change)| {
            let (mut change, lapse) = (change?, *lapses.get(&user)?);
            change.is_news |= lapse.others;
            change.is_own_news |= lapse.own;
            Some(change)
        });
        Ok(changes.collect())
    }
}
