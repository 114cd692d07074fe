//! Users whom time alone has changed.

use std::collections::BTreeMap;

use backplane::FencingToken;
use chat_core::{Result, UserId, presence::Change};

use super::{
    Open, Purpose, ROUNDS, RedisPresence,
    draft::{Draft, Lapse},
    parts::{Found, Lapses, Manner},
    restless,
    view::View,
};

/// How many users are asked for in each part at least.
const FEW: usize = 32;

/// What is known of the parts: those whom time has changed, and where others may be.
struct Survey {
    view: View,
    told: Vec<(Draft, Lapse)>,
    places: Vec<(u16, Vec<FencingToken>)>,
}

impl RedisPresence {
    /// Tells those who are known, once all who are not have been looked for, or as many as asked for are.
    pub(super) async fn find_lapsed(
        &self,
        settled: &[Change],
        limit: usize,
    ) -> Result<Vec<Change>> {
        let share = limit * 2 / self.parts.all().count();
        let each = limit.clamp(1, share.max(FEW));
        let mut settled = settled;
        for _ in 0..ROUNDS {
            let Some(survey) = self.survey(settled, each).await? else {
                continue;
            };
            settled = &[];
            if survey.told.len() >= limit || survey.places.is_empty() {
                return self.tell(survey, limit).await;
            }
            self.look_for(&survey, each).await?;
        }
        // What was found stays so, and the next call goes on.
        Err(restless("lapsed").into())
    }

    /// Asks all parts; nothing, if one was on another server.
    async fn survey(&self, settled: &[Change], limit: usize) -> backplane::Result<Option<Survey>> {
        let view = self.leases.view("lapsed").await?;
        let answers = self.parts.lapsed("lapsed", &view, settled, limit).await;
        let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
        if answers
            .iter()
            .any(|from| view.server(from.part) != from.server)
        {
            self.locate("lapsed", &view).await?;
            return Ok(None);
        }
        let (mut told, mut places, mut checked) = (Vec::new(), Vec::new(), Vec::new());
        for Found { part, answer, .. } in answers {
            let Lapses {
                last,
                told: some,
                is_due,
                turn,
                unchecked,
            } = answer;
            let some = some.into_iter();
            told.extend(some.map(|(user, lapse, found)| (Draft::of(user, found, last), lapse)));
            let (later, known): (Vec<_>, Vec<_>) = unchecked
                .into_iter()
                .partition(|&lease| view.is_before(lease));
            let (ended, held): (Vec<_>, Vec<_>) = known
                .into_iter()
                .partition(|&lease| view.ended(lease).is_some());
            if is_due || !ended.is_empty() {
                places.push((part, ended));
            } else if !held.is_empty() && later.is_empty() {
                checked.push((part, turn));
            }
        }
        if !checked.is_empty() {
            self.parts.note_checked(&view, &checked).await;
        }
        Ok(Some(Survey { view, told, places }))
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
