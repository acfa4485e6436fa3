//! What is searched: a circle or a box around a place, and the cells of the grid that it lies in.

use super::hash::{Cell, Place, SCORE_STEPS};
use smallvec::SmallVec;

/// The globe's radius in metres, for distances (the haversine formula, as in Redis).
const EARTH_RADIUS: f64 = 6_372_797.560856;
/// Half the globe's circumference in the Mercator projection, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// The distance between two places on the globe, in metres.
pub(super) fn distance(from: Place, to: Place) -> f64 {
    let [from_latitude, to_latitude] = [from, to].map(|place| radians(place.latitude));
    let [from_longitude, to_longitude] = [from, to].map(|place| radians(place.longitude));
    let u = ((to_latitude - from_latitude) / 2.0).sin();
    let v = ((to_longitude - from_longitude) / 2.0).sin();
    let chord = u * u + from_latitude.cos() * to_latitude.cos() * v * v;
    2.0 * EARTH_RADIUS * chord.sqrt().asin()
}

const RADIAN: f64 = std::f64::consts::PI / 180.0;

/// (`f64::to_radians` rounds otherwise than Redis.)
fn radians(degrees: f64) -> f64 {
    degrees * RADIAN
}

fn degrees(radians: f64) -> f64 {
    radians / RADIAN
}

/// The form of what is searched, in units of the command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// All within a radius.
    Circle { radius: f64 },
    /// All within half the width to the east and west, and half the height to the north and south.
    Box { width: f64, height: f64 },
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) center: Place,
    pub(super) form: Form,
    /// Metres in a unit.
    pub(super) unit: f64,
}

impl Shape {
    /// The distance of a place from the centre, in metres; `None` if it lies outside.
    pub(super) fn distance_within(&self, place: Place) -> Option<f64> {
        let whole = distance(self.center, place);
        let outside = match self.form {
            Form::Circle { radius } => whole > radius * self.unit,
            Form::Box { width, height } => {
                let beside = Place {
                    latitude: place.latitude,
                    ..self.center
                };
                let above = Place {
                    latitude: self.center.latitude,
                    ..place
                };
                distance(place, beside) > width * self.unit / 2.0
                    || distance(place, above) > height * self.unit / 2.0
            }
        };
        (!outside).then_some(whole)
    }

    /// How far it reaches to each side, in metres.
    fn reach(&self) -> (f64, f64) {
        let (width, height) = match self.form {
            Form::Circle { radius } => (radius, radius),
            Form::Box { width, height } => (width / 2.0, height / 2.0),
        };
        (self.unit * width, self.unit * height)
    }

    /// The distance of its farthest point from the centre, in metres.
    fn radius(&self) -> f64 {
        let radius = match self.form {
            Form::Circle { radius } => radius,
            Form::Box { width, height } => {
                let (width, height) = (width / 2.0, height / 2.0);
                (width * width + height * height).sqrt()
            }
        };
        radius * self.unit
    }

    /// A box of degrees around it.
    fn bounds(&self) -> Bounds {
        let Place {
            longitude,
            latitude,
        } = self.center;
        let (width, height) = self.reach();
        let tall = degrees(height / EARTH_RADIUS);
        // Degrees of longitude are narrowest on the side that is nearer to the pole.
        let nearer = if latitude < 0.0 {
            latitude - tall
        } else {
            latitude + tall
        };
        let wide = degrees(width / EARTH_RADIUS / radians(nearer).cos());
        Bounds {
            west: longitude - wide,
            east: longitude + wide,
            south: latitude - tall,
            north: latitude + tall,
        }
    }

    /// The cells that it lies in, none twice, in the order in which Redis walks them: the one in the middle first.
    pub(super) fn cells(&self) -> SmallVec<[Cell; NEIGHBOURHOOD.len()]> {
        let bounds = self.bounds();
        let mut steps = steps_for(self.radius(), self.center.latitude);
        let mut middle = Cell::around(self.center, steps);
        if steps > 1 && !bounds.are_covered_around(middle) {
            steps -= 1;
            middle = Cell::around(self.center, steps);
        }
        let useless = if steps >= 2 {
            bounds.inside(middle)
        } else {
            Sides::default()
        };
        let mut cells = SmallVec::new();
        for (east, north) in NEIGHBOURHOOD {
            let cell = middle.neighbour(east, north);
            // On a coarse grid two neighbours may be the same cell.
            if !useless.has(east, north) && (cells.len() < 2 || cells.last() != Some(&cell)) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// Steps to the east and to the north.
const NEIGHBOURHOOD: [(i32, i32); 9] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// How often each axis is halved so that cells are about as large as the radius.
fn steps_for(mut radius: f64, latitude: f64) -> u8 {
    if radius == 0.0 {
        return SCORE_STEPS;
    }
    let mut steps: i32 = -1;
    while radius < MERCATOR_MAX {
        radius *= 2.0;
        steps += 1;
    }
    // Cells are narrower near the poles.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, SCORE_STEPS.into()) as u8
}

/// In degrees.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Bounds {
    /// Whether the cell and those around it reach as far. (Where a number is none, they do.)
    fn are_covered_around(&self, cell: Cell) -> bool {
        let area = |east, north| cell.neighbour(east, north).area();
        let short = area(0, 1).latitude[1] < self.north
            || area(0, -1).latitude[0] > self.south
            || area(1, 0).longitude[1] < self.east
            || area(-1, 0).longitude[0] > self.west;
        !short
    }

    /// The sides on which they don't reach beyond the cell.
    fn inside(&self, cell: Cell) -> Sides {
        let area = cell.area();
        Sides {
            west: area.longitude[0] < self.west,
            east: area.longitude[1] > self.east,
            south: area.latitude[0] < self.south,
            north: area.latitude[1] > self.north,
        }
    }
}

/// Sides of a cell.
#[derive(Default)]
struct Sides {
    west: bool,
    east: bool,
    south: bool,
    north: bool,
}

impl Sides {
    /// Whether a neighbour lies on one of them.
    fn has(&self, east: i32, north: i32) -> bool {
        (east > 0 && self.east)
            || (east < 0 && self.west)
            || (north > 0 && self.north)
            || (north < 0 && self.south)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(longitude: f64, latitude: f64, form: Form) -> Shape {
        let center = Place {
            longitude,
            latitude,
        };
        Shape {
            center,
            form,
            unit: 1000.0,
        }
    }

    #[test]
    fn cells_are_walked_once_each_whatever_the_size() {
        for radius in [0.0, 0.001, 1.0, 500.0, 20_000.0, 1e300, f64::INFINITY] {
            for (longitude, latitude) in [(0.0, 0.0), (180.0, 85.0), (-180.0, -85.0), (15.0, 37.0)]
            {
                let cells = around(longitude, latitude, Form::Circle { radius }).cells();
                assert_eq!(
                    cells[0],
                    Cell::around(
                        around(longitude, latitude, Form::Circle { radius }).center,
                        steps_of(&cells)
                    )
                );
                let mut ranges: Vec<_> = cells.iter().map(|cell| cell.scores().start).collect();
                ranges.sort_by(f64::total_cmp);
                assert!(ranges.windows(2).all(|pair| pair[0] != pair[1]), "{radius}");
            }
        }
    }

    /// The steps of a cell, by the width of its scores.
    fn steps_of(cells: &[Cell]) -> u8 {
        let scores = cells[0].scores();
        SCORE_STEPS - ((scores.end - scores.start).log2() / 2.0) as u8
    }

    #[test]
    fn boxes_are_wider_than_high() {
        let shape = around(
            0.0,
            0.0,
            Form::Box {
                width: 400.0,
                height: 100.0,
            },
        );
        let at = |longitude, latitude| Place {
            longitude,
            latitude,
        };
        assert!(shape.distance_within(at(1.7, 0.0)).is_some());
        assert!(shape.distance_within(at(1.9, 0.0)).is_none());
        assert!(shape.distance_within(at(0.0, 0.4)).is_some());
        assert!(shape.distance_within(at(0.0, 0.5)).is_none());
    }
}
