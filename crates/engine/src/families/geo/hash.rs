//! Geohashes: a place on the globe as one integer, whose leading bits name the cells that it lies in
//! (G. Niemeyer, 2008; the bit order and the limits are Redis's).

use std::ops::Range;

/// Where longitudes end.
pub(super) const LONGITUDE_MAX: f64 = 180.0;
/// Where latitudes end: those of the Web Mercator projection (EPSG:3857), not the poles.
pub(super) const LATITUDE_MAX: f64 = 85.05112878;
/// Halvings of each axis in a score: 52 bits fit a double exactly.
pub(super) const SCORE_STEPS: u8 = 26;
/// Bits of a score.
const SCORE_BITS: u32 = 2 * SCORE_STEPS as u32;
/// Letters of a geohash in text.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Bits of a letter.
const LETTER_BITS: u32 = 5;
/// Letters of a text. The last would need 55 bits; it is always the first of the alphabet.
const LETTERS: usize = 11;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// In degrees, east positive.
    pub(super) longitude: f64,
    /// In degrees, north positive.
    pub(super) latitude: f64,
}

impl Place {
    /// Whether scores can tell it.
    pub(super) fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score that a sorted set keeps it under.
    pub(super) fn score(self) -> u64 {
        Cell::around(self, SCORE_STEPS).bits()
    }

    /// The place that a score means: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Place {
        let area = Cell::of_bits(truncated(score), SCORE_STEPS).area();
        Place {
            longitude: middle(area.longitude).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: middle(area.latitude).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The geohash that the rest of the world uses: with latitudes up to the poles.
    pub(super) fn text(self) -> [u8; LETTERS] {
        let bits = Cell::within(self, SCORE_STEPS, 90.0).bits();
        let mut text = [ALPHABET[0]; LETTERS];
        for (at, letter) in text.iter_mut().enumerate().take(LETTERS - 1) {
            let shift = SCORE_BITS - (at as u32 + 1) * LETTER_BITS;
            *letter = ALPHABET[(bits >> shift) as usize % ALPHABET.len()];
        }
        text
    }
}

fn middle([min, max]: [f64; 2]) -> f64 {
    (min + max) / 2.0
}

/// A double as C on x86-64 casts it to a 64-bit unsigned integer: scores that no GEOADD has made lead there, and Redis
/// answers for them, too.
fn truncated(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |number: f64| {
        if (-HALF..HALF).contains(&number) {
            number as i64 as u64
        } else {
            1 << 63
        }
    };
    if score >= HALF {
        signed(score - HALF) ^ (1 << 63)
    } else {
        signed(score)
    }
}

/// A cell of the grid that halves each axis `steps` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Which column, from the west.
    column: u32,
    /// Which row, from the south.
    row: u32,
    steps: u8,
}

/// What a cell covers, in degrees, from its least to its greatest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) longitude: [f64; 2],
    pub(super) latitude: [f64; 2],
}

impl Cell {
    /// The cell with this place in it.
    pub(super) fn around(place: Place, steps: u8) -> Cell {
        Cell::within(place, steps, LATITUDE_MAX)
    }

    /// The same, on a grid whose latitudes end elsewhere.
    fn within(place: Place, steps: u8, latitude_max: f64) -> Cell {
        let index = |degrees: f64, max: f64| {
            let share = (degrees + max) / (max + max);
            (share * f64::from(1u32 << steps)) as u32
        };
        Cell {
            column: index(place.longitude, LONGITUDE_MAX),
            row: index(place.latitude, latitude_max),
            steps,
        }
    }

    fn of_bits(bits: u64, steps: u8) -> Cell {
        Cell {
            column: every_other(bits >> 1),
            row: every_other(bits),
            steps,
        }
    }

    /// Column and row in one number, in turn; the row has the lowest bit.
    fn bits(self) -> u64 {
        apart(self.row) | apart(self.column) << 1
    }

    /// The scores of the places in it.
    pub(super) fn scores(self) -> Range<f64> {
        let shift = SCORE_BITS - 2 * u32::from(self.steps);
        let bits = self.bits();
        (bits << shift) as f64..((bits + 1) << shift) as f64
    }

    pub(super) fn area(self) -> Area {
        let cells = f64::from(1u32 << self.steps);
        let span = |index: u32, max: f64| {
            [index, index.wrapping_add(1)].map(|at| -max + (f64::from(at) / cells) * (max + max))
        };
        Area {
            longitude: span(self.column, LONGITUDE_MAX),
            latitude: span(self.row, LATITUDE_MAX),
        }
    }

    /// The cell so many columns to the east and rows to the north; the globe is taken to be a torus.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Cell {
        let moved = |index: u32, by: i32| match by {
            0 => index,
            by => index.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Cell {
            column: moved(self.column, east),
            row: moved(self.row, north),
            ..self
        }
    }
}

/// Puts a zero bit in front of each bit (Anderson, "Bit Twiddling Hacks": interleaving by magic numbers).
fn apart(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in SPREAD {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// The even bits alone: the inverse of [`apart`].
fn every_other(bits: u64) -> u32 {
    let mut bits = bits & SPREAD[4].1;
    for at in (0..SPREAD.len()).rev() {
        let mask = at.checked_sub(1).map_or(u32::MAX.into(), |at| SPREAD[at].1);
        bits = (bits | bits >> SPREAD[at].0) & mask;
    }
    bits as u32
}

const SPREAD: [(u32, u64); 5] = [
    (16, 0x0000_FFFF_0000_FFFF),
    (8, 0x00FF_00FF_00FF_00FF),
    (4, 0x0F0F_0F0F_0F0F_0F0F),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Place = Place {
        longitude: 13.361389,
        latitude: 38.115556,
    };

    /// The example in the documentation of GEOADD and GEOHASH.
    #[test]
    fn the_known_example() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698);
        let place = Place::of_score(3_479_099_956_230_698.0);
        assert!((place.longitude - PALERMO.longitude).abs() < 1e-5);
        assert!((place.latitude - PALERMO.latitude).abs() < 1e-5);
        assert_eq!(place.text(), *b"sqc8b49rny0");
    }

    #[test]
    fn bits_are_put_in_turn_and_back() {
        for number in [0, 1, 2, 0x8000_0001, 0xDEAD_BEEF, u32::MAX] {
            assert_eq!(every_other(apart(number)), number);
            let cell = Cell {
                column: number,
                row: !number,
                steps: 26,
            };
            assert_eq!(Cell::of_bits(cell.bits(), 26), cell);
        }
        assert_eq!((apart(0b111), apart(u32::MAX)), (0b10101, SPREAD[4].1));
    }

    #[test]
    fn neighbours_go_round_the_globe() {
        let corner = Cell {
            column: 0,
            row: 7,
            steps: 3,
        };
        let moved = corner.neighbour(-1, 1);
        assert_eq!((moved.column, moved.row), (7, 0));
        assert_eq!(moved.neighbour(1, -1), corner);
    }

    #[test]
    fn cells_hold_what_is_around_their_place() {
        for steps in 1..=SCORE_STEPS {
            let cell = Cell::around(PALERMO, steps);
            let area = cell.area();
            assert!(
                area.longitude[0] <= PALERMO.longitude && PALERMO.longitude < area.longitude[1]
            );
            assert!(area.latitude[0] <= PALERMO.latitude && PALERMO.latitude < area.latitude[1]);
            assert!(cell.scores().contains(&(PALERMO.score() as f64)));
        }
    }

    #[test]
    fn scores_that_are_no_places_are_cast_as_on_x86() {
        for (score, expected) in [
            (1.9, 1),
            (-1.0, u64::MAX),
            (f64::INFINITY, 0),
            (f64::NEG_INFINITY, 1 << 63),
            (1e300, 0),
            (-1e300, 1 << 63),
            (9_223_372_036_854_775_808.0, 1 << 63),
        ] {
            assert_eq!(truncated(score), expected, "{score}");
        }
    }
}
