//! The arguments of the searches.

use super::args::{circle, place, rectangle};
use super::hash::Place;
use super::shape::{Form, Shape};
use crate::command::CommandError;
use crate::families::options::{Words, integer, is_word};
use damselfly_store::values::ZSet;

/// Where a search command has its centre, its extent and its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// GEORADIUS: two coordinates and a radius; a destination where `stores`.
    Coordinates { stores: bool },
    /// GEORADIUSBYMEMBER: a member and a radius; a destination where `stores`.
    Member { stores: bool },
    /// GEOSEARCH: options say all.
    Search,
    /// GEOSEARCHSTORE: the same, and the destination comes first.
    SearchStore,
}

impl Syntax {
    /// Index of the source.
    pub(super) fn source(self) -> usize {
        if self == Syntax::SearchStore { 2 } else { 1 }
    }

    fn is_search(self) -> bool {
        matches!(self, Syntax::Search | Syntax::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(
            self,
            Syntax::Coordinates { stores: true } | Syntax::Member { stores: true }
        )
    }
}

/// The order of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The nearest first.
    Ascending,
    /// The farthest first.
    Descending,
}

/// A search.
#[derive(Debug)]
pub(super) struct Search<'a> {
    /// `None`: there is nothing to search, and so maybe no centre.
    pub(super) shape: Option<Shape>,
    /// How many are wanted.
    pub(super) count: Option<usize>,
    /// Whether any will do.
    pub(super) any: bool,
    pub(super) order: Option<Order>,
    /// Whether distances are wanted, scores, positions.
    pub(super) with_distance: bool,
    pub(super) with_score: bool,
    pub(super) with_place: bool,
    /// Where the result is stored.
    pub(super) destination: Option<&'a [u8]>,
    /// Whether with distances for scores.
    pub(super) store_distance: bool,
}

/// What has been read so far.
struct Reader<'a, 'z> {
    syntax: Syntax,
    source: Option<&'z ZSet>,
    center: Option<Center>,
    extent: Option<(Form, f64)>,
    search: Search<'a>,
}

/// Where the centre comes from: it may be said only in one way, though any number of times.
#[derive(Debug, Clone, Copy)]
enum Center {
    Place(Place),
    /// A member, whose place is known if there is a source.
    Member(Option<Place>),
}

impl<'a> Search<'a> {
    /// Reads a search of this source.
    ///
    /// # Errors
    /// Redis's, in Redis's order.
    pub(super) fn parse(
        syntax: Syntax,
        args: &'a [&'a [u8]],
        source: Option<&ZSet>,
    ) -> Result<Search<'a>, CommandError> {
        let mut reader = Reader::new(syntax, source);
        let first = reader.fixed(args)?;
        let mut words = Words::from(args, first);
        while let Some(word) = words.next() {
            reader.option(word, &mut words)?;
        }
        reader.finish(args[0])
    }

    fn wants_more_than_names(&self) -> bool {
        self.with_distance || self.with_score || self.with_place
    }
}

impl<'a> Reader<'a, '_> {
    fn new(syntax: Syntax, source: Option<&ZSet>) -> Reader<'a, '_> {
        Reader {
            syntax,
            source,
            center: None,
            extent: None,
            search: Search {
                shape: None,
                count: None,
                any: false,
                order: None,
                with_distance: false,
                with_score: false,
                with_place: false,
                destination: None,
                store_distance: false,
            },
        }
    }

    /// Reads what stands at fixed places; returns the index of the first option.
    fn fixed(&mut self, args: &[&'a [u8]]) -> Result<usize, CommandError> {
        match self.syntax {
            Syntax::Coordinates { .. } => {
                self.center = Some(Center::Place(place(args[2], args[3])?));
                self.extent = Some(circle(args[4], args[5])?);
                Ok(6)
            }
            Syntax::Member { .. } => {
                self.member(args[2])?;
                // Without a source Redis doesn't look at the radius.
                if self.source.is_some() {
                    self.extent = Some(circle(args[3], args[4])?);
                }
                Ok(5)
            }
            Syntax::Search => Ok(2),
            Syntax::SearchStore => {
                self.search.destination = Some(args[1]);
                Ok(3)
            }
        }
    }

    fn member(&mut self, member: &[u8]) -> Result<(), CommandError> {
        const UNKNOWN: CommandError =
            CommandError::text("ERR could not decode requested zset member");
        let place = match self.source {
            Some(zset) => Some(Place::of_score(zset.score(member).ok_or(UNKNOWN)?)),
            None => None,
        };
        self.center = Some(Center::Member(place));
        Ok(())
    }

    fn option(&mut self, word: &[u8], words: &mut Words<'a>) -> Result<(), CommandError> {
        let search = &mut self.search;
        match word {
            _ if is_word(word, "WITHDIST") => search.with_distance = true,
            _ if is_word(word, "WITHHASH") => search.with_score = true,
            _ if is_word(word, "WITHCOORD") => search.with_place = true,
            _ if is_word(word, "ANY") => search.any = true,
            _ if is_word(word, "ASC") => search.order = Some(Order::Ascending),
            _ if is_word(word, "DESC") => search.order = Some(Order::Descending),
            _ if is_word(word, "COUNT") => search.count = Some(count(words.value()?)?),
            _ if self.syntax.is_search() => return self.search_option(word, words),
            _ if self.syntax.may_store() => return self.store_option(word, words),
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }

    fn store_option(&mut self, word: &[u8], words: &mut Words<'a>) -> Result<(), CommandError> {
        let by_distance = is_word(word, "STOREDIST");
        if !by_distance && !is_word(word, "STORE") {
            return Err(CommandError::Syntax);
        }
        self.search.destination = Some(words.value()?);
        self.search.store_distance = by_distance;
        Ok(())
    }

    fn search_option(&mut self, word: &[u8], words: &mut Words<'a>) -> Result<(), CommandError> {
        let by_place = matches!(self.center, Some(Center::Place(_)));
        let by_member = matches!(self.center, Some(Center::Member(_)));
        let is_circle = matches!(self.extent, Some((Form::Circle { .. }, _)));
        let is_box = matches!(self.extent, Some((Form::Box { .. }, _)));
        // An option without all of its values is none.
        let mut values = |count: usize| {
            if words.left() < count {
                return Err(CommandError::Syntax);
            }
            Ok(words.by_ref().take(count).collect::<Vec<_>>())
        };
        match word {
            _ if self.syntax == Syntax::SearchStore && is_word(word, "STOREDIST") => {
                self.search.store_distance = true;
            }
            _ if is_word(word, "FROMMEMBER") && !by_place => {
                let value = values(1)?;
                self.member(value[0])?;
            }
            _ if is_word(word, "FROMLONLAT") && !by_member => {
                let value = values(2)?;
                self.center = Some(Center::Place(place(value[0], value[1])?));
            }
            _ if is_word(word, "BYRADIUS") && !is_box => {
                let value = values(2)?;
                self.extent = Some(circle(value[0], value[1])?);
            }
            _ if is_word(word, "BYBOX") && !is_circle => {
                let value = values(3)?;
                self.extent = Some(rectangle(value[0], value[1], value[2])?);
            }
            _ => return Err(CommandError::Syntax),
        }
        Ok(())
    }

    fn finish(mut self, name: &[u8]) -> Result<Search<'a>, CommandError> {
        if self.search.destination.is_some() && self.search.wants_more_than_names() {
            return Err(CommandError::text(match self.syntax {
                Syntax::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                }
                _ => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
                }
            }));
        }
        if self.syntax.is_search() && self.center.is_none() {
            let text = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(CommandError::echo(text, name, ""));
        }
        if self.syntax.is_search() && self.extent.is_none() {
            let text = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(CommandError::echo(text, name, ""));
        }
        if self.search.any && self.search.count.is_none() {
            return Err(CommandError::text(
                "ERR the ANY argument requires COUNT argument",
            ));
        }
        self.search.shape = self.shape();
        // The nearest are meant, unless any will do.
        if self.search.count.is_some() && !self.search.any {
            self.search.order.get_or_insert(Order::Ascending);
        }
        Ok(self.search)
    }

    fn shape(&self) -> Option<Shape> {
        let (form, unit) = self.extent?;
        let (Center::Place(center) | Center::Member(Some(center))) = self.center? else {
            return None;
        };
        Some(Shape { center, form, unit })
    }
}

fn count(arg: &[u8]) -> Result<usize, CommandError> {
    usize::try_from(integer(arg)?)
        .ok()
        .filter(|count| *count > 0)
        .ok_or(CommandError::text("ERR COUNT must be > 0"))
}
