//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO (Redis 7.0, `networking.c`, `clientCommand`).

use damselfly_engine::families::options::is_word;
use damselfly_engine::resp::{ReplyWriter, parse_i64};
use damselfly_engine::session::AsyncResult;
use damselfly_engine::tracking::{Mode, TrackingOptions};
use damselfly_engine::{CommandError, CommandResult, Session};

/// The options as they stand there.
#[derive(Default)]
struct Asked {
    redirect: Option<(u64, usize)>,
    prefixes: Vec<Vec<u8>>,
    bcast: bool,
    optin: bool,
    optout: bool,
    noloop: bool,
}

impl Asked {
    async fn parse(session: &Session, mut rest: &[&[u8]]) -> Result<Asked, CommandError> {
        let mut asked = Asked::default();
        while let Some((option, after)) = rest.split_first() {
            rest = match after {
                [id, after @ ..] if is_word(option, "redirect") => {
                    if asked.redirect.is_some() {
                        return Err(CommandError::text(
                            "ERR A client can only redirect to a single other client",
                        ));
                    }
                    asked.redirect = redirect(session, id).await?;
                    after
                }
                [prefix, after @ ..] if is_word(option, "prefix") => {
                    asked.prefixes.push(prefix.to_vec());
                    after
                }
                after => {
                    *asked.flag(option).ok_or(CommandError::Syntax)? = true;
                    after
                }
            };
        }
        Ok(asked)
    }

    fn flag(&mut self, word: &[u8]) -> Option<&mut bool> {
        match word {
            _ if is_word(word, "bcast") => Some(&mut self.bcast),
            _ if is_word(word, "optin") => Some(&mut self.optin),
            _ if is_word(word, "optout") => Some(&mut self.optout),
            _ if is_word(word, "noloop") => Some(&mut self.noloop),
            _ => None,
        }
    }

    fn mode(&self) -> Mode {
        match (self.bcast, self.optin, self.optout) {
            (true, _, _) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::All,
        }
    }

    /// Whether the options go together, and with how the client tracks now.
    fn check(&self, session: &Session) -> CommandResult {
        let tracking = &session.tracking;
        let was = tracking.tracked().map(|_| tracking.mode);
        let error = match was {
            _ if !self.bcast && !self.prefixes.is_empty() => {
                "ERR PREFIX option requires BCAST mode to be enabled"
            }
            Some(was) if (was == Mode::Broadcast) != self.bcast => {
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
            }
            _ if self.bcast && (self.optin || self.optout) => {
                "ERR OPTIN and OPTOUT are not compatible with BCAST"
            }
            _ if self.optin && self.optout => {
                "ERR You can't specify both OPTIN mode and OPTOUT mode"
            }
            Some(Mode::OptOut) if self.optin => SWITCHED,
            Some(Mode::OptIn) if self.optout => SWITCHED,
            _ => return self.check_prefixes(session),
        };
        Err(CommandError::text(error))
    }

    fn check_prefixes(&self, session: &Session) -> CommandResult {
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let mut held = session.tracking.prefixes.iter();
            if let Some(other) = held.find(|other| overlap(prefix, other)) {
                return Err(overlaps(prefix, "an existing", other));
            }
            let mut others = self.prefixes[at + 1..].iter();
            if let Some(other) = others.find(|other| overlap(prefix, other)) {
                return Err(overlaps(prefix, "another provided", other));
            }
        }
        Ok(())
    }
}

const SWITCHED: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlaps(prefix: &[u8], which: &str, other: &[u8]) -> CommandError {
    let middle = format!("' overlaps with {which} prefix '");
    let text: [&[u8]; 5] = [
        b"ERR Prefix '",
        prefix,
        middle.as_bytes(),
        other,
        b"'. Prefixes for a single client must not overlap.",
    ];
    CommandError::Echo(text.concat())
}

/// The client that is to be told in place of this one, which must be there.
async fn redirect(session: &Session, id: &[u8]) -> Result<Option<(u64, usize)>, CommandError> {
    let id = parse_i64(id).ok_or(CommandError::NotInteger)?;
    let missing = CommandError::text("ERR The client ID you want redirect to does not exist");
    let Ok(id) = u64::try_from(id) else {
        return Err(missing);
    };
    let here = session
        .thread
        .on_all_threads(move |thread| thread.push_queues.borrow().contains_key(&id))
        .await;
    let thread = here.iter().position(|is_here| *is_here);
    thread.map(|thread| Some((id, thread))).ok_or(missing)
}

pub(super) fn tracking<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let asked = Asked::parse(session, &args[3..]).await?;
        match args[2] {
            word if is_word(word, "on") => {
                asked.check(session)?;
                session.track(TrackingOptions {
                    mode: asked.mode(),
                    noloop: asked.noloop,
                    redirect: asked.redirect,
                    prefixes: asked.prefixes,
                });
            }
            word if is_word(word, "off") => session.untrack(),
            _ => return Err(CommandError::Syntax),
        }
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

pub(super) fn caching(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let tracking = &mut session.tracking;
    if tracking.tracked().is_none() {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    let error = match args[2] {
        word if is_word(word, "yes") => (tracking.mode != Mode::OptIn).then_some(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        word if is_word(word, "no") => (tracking.mode != Mode::OptOut).then_some(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
        _ => return Err(CommandError::Syntax),
    };
    if let Some(error) = error {
        return Err(CommandError::text(error));
    }
    tracking.mark_next();
    out.ok();
    Ok(())
}

/// The client that is told in place of this one: 0 is nobody, -1 that this one does not track.
fn redirected_to(session: &Session) -> i64 {
    match session.tracking.tracked() {
        None => -1,
        Some(tracked) => tracked.redirect.map_or(0, |(id, _)| id as i64),
    }
}

pub(super) fn getredir(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    out.integer(redirected_to(session));
    Ok(())
}

pub(super) fn trackinginfo(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (flags, prefixes) = (flags(session), &session.tracking.prefixes);
    out.map(3);
    out.bulk("flags");
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag));
    out.bulk("redirect");
    out.integer(redirected_to(session));
    out.bulk("prefixes");
    out.array(prefixes.len());
    prefixes.iter().for_each(|prefix| out.bulk(prefix));
    Ok(())
}

fn flags(session: &Session) -> Vec<&'static str> {
    let tracking = &session.tracking;
    let Some(tracked) = tracking.tracked() else {
        return vec!["off"];
    };
    let mode = |mode| tracking.mode == mode;
    [
        (true, "on"),
        (mode(Mode::Broadcast), "bcast"),
        (mode(Mode::OptIn), "optin"),
        (mode(Mode::OptIn) && tracking.caching, "caching-yes"),
        (mode(Mode::OptOut), "optout"),
        (mode(Mode::OptOut) && tracking.caching, "caching-no"),
        (tracked.noloop, "noloop"),
        (tracked.is_broken.get(), "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(holds, word)| holds.then_some(word))
    .collect()
}
